"""`nunatak run`: a directory's jobfiles on this machine, from the start of the broker to the last output."""

import os
import shlex
import time
from pathlib import Path
from typing import Any

import click

from broker.errors import BrokerBusy, Unreachable
from broker.records import Campaign, State
from broker.stop import stop_broker
from launcher.site import Site
from launcher.site_file import load_site
from nunatak.enqueue_options import enqueue_options, request_of
from nunatak.enqueued import result_lines, word_lines
from nunatak.enqueueing import Outcome, enqueue_directory
from nunatak.errors import Gone, Interrupted, WrongUse
from nunatak.exit_codes import ExitCode
from nunatak.interrupts import Interrupts
from nunatak.overview import paused_text
from nunatak.own_block import OwnBlock, with_slots
from nunatak.progress import Progress, open_progress
from nunatak.reach import settings_of
from nunatak.results import Results, bad_lines, read_results, table
from nunatak.running import REPLACED, Next, Running
from nunatak.screen import Column, print_table, printable, say
from nunatak.session import Session

_EPILOG = """\b
Exit codes: 0 all are done, 1 any is not, 2 wrong use, 3 the broker cannot be had
or blocks die, 130 interrupted: the same command goes on.
\b
Example: nunatak run region_03_conus/jobfiles/2m --slots 4
"""


@click.command("run", epilog=_EPILOG)
@click.argument("directory", metavar="DIR", required=False, type=click.Path(path_type=Path))
@click.option("-s", "--scripts", metavar="DIR", type=click.Path(path_type=Path), help="The same as DIR.")
@enqueue_options
@click.option("--slots", type=click.IntRange(min=1), metavar="N", help="Jobfiles at a time. Default: one per processor.")
@click.option("-f", "--site", "site_name", default="local", show_default=True, metavar="SITE", help="Where: a site's name or its file.")
@click.pass_context
def command(
    context: click.Context, /, directory: Path | None, scripts: Path | None, slots: int | None, site_name: str, **options: Any
) -> None:
    """Run the jobfiles of DIR on this machine until all have ended.

    Starts the broker if none runs, enqueues DIR, starts one block, and shows how far it is. Ctrl-C ends what runs and hands it back; the
    same command goes on where it stopped, and runs nothing twice.
    """
    site = with_slots(local_site(site_name), slots, len(os.sched_getaffinity(0)))
    request = request_of(_only_one(directory, scripts), **options)
    with Session(settings_of(context)) as session:
        try:
            context.exit(_run(session, site, enqueue_directory(session, request)))
        finally:
            _stop_broker(session)


def _only_one(directory: Path | None, scripts: Path | None) -> Path:
    if directory is not None and scripts is not None:
        raise click.UsageError(f"{directory} and -s {scripts}: give one directory")
    found = directory or scripts
    if found is None:
        raise click.UsageError("say which jobfiles: nunatak run DIR")
    return found


def local_site(name: str) -> Site:
    """The site, if this command can run on it; raises WrongUse, NoSite, BadSite."""
    site = load_site(name)
    if site.provider != "local":
        raise WrongUse(f"site {site.name} is a cluster's (provider {site.provider}), and `run` works on this machine only: use -f local")
    return site


def _run(session: Session, site: Site, outcome: Outcome) -> ExitCode:
    for line in (*word_lines(outcome), *result_lines(outcome)):
        say(line)
    if not outcome.accepted:
        return ExitCode.WRONG_USE
    campaign = session.insist(lambda broker: broker.ledger.campaign(outcome.request.name))
    if campaign is None:
        raise Gone(f"campaign {outcome.request.name} was forgotten at this moment; run the command again")
    results = LocalRun(session, site, campaign, outcome).run()
    _show(results, len(outcome.rejected))
    return ExitCode.WELL if results.all_done and not outcome.rejected and not outcome.elsewhere else ExitCode.SOME_BAD


class LocalRun:
    """One block for one campaign, and what is said of it."""

    def __init__(self, session: Session, site: Site, campaign: Campaign, outcome: Outcome) -> None:
        self._session = session
        self._name = campaign.name
        self._directory = outcome.request.directory
        self._own = OwnBlock(session, site, campaign.name, campaign.number)
        self._since = time.monotonic()

    def run(self) -> Results:
        """Until all have ended, or the campaign is paused. Raises Interrupted, Gone, Unreachable, SubmitFailed."""
        progress = open_progress()
        try:
            with Interrupts() as interrupts:
                running = Running(self._session, self._name, self._own, progress, interrupts)
                end = running.follow()
                with interrupts.held():
                    self._own.ask_to_end()
                self._wait_for_block(end, progress, running.campaign)
                running.show_last()
        except KeyboardInterrupt:
            raise Interrupted(f"left at once; what ran is being ended and waits again. {self._go_on()}") from None
        finally:
            progress.close()
        return self._results(end, running.campaign)

    def _wait_for_block(self, end: Next, progress: Progress, campaign: Campaign | None) -> None:
        if end is Next.INTERRUPTED:
            count = campaign.counts[State.RUNNING] if campaign else 0
            progress.note(f"interrupted: ending {count:,} running jobfiles, which will wait again; Ctrl-C once more leaves at once")
        if not self._own.wait_for_end():
            assert self._own.block is not None
            progress.note(f"block {self._own.block.block_id} has not ended yet; it ends by itself when nothing is left to do")

    def _results(self, end: Next, campaign: Campaign | None) -> Results:
        if end is Next.INTERRUPTED:
            done = f"{campaign.counts[State.DONE]:,} of {campaign.total:,} are done. " if campaign else ""
            raise Interrupted(f"{done}{self._go_on()}")
        if end is Next.GIVE_UP:
            raise Gone(f"{REPLACED + 1} blocks in a row have ended at once, for the reasons above; what waits is kept. {self._go_on()}")
        assert campaign is not None
        if end is Next.PAUSED:
            say(f"{self._name} is {paused_text(campaign)}")
        return self._session.insist(lambda broker: read_results(broker.ledger, campaign, time.monotonic() - self._since))

    def _go_on(self) -> str:
        return f"To go on: nunatak run {shlex.quote(str(self._directory))}"


def _show(results: Results, rejected: int) -> None:
    rows = [*table(results), *([("rejected, not enqueued", f"{rejected:,}")] if rejected else [])]
    print_table([Column(title=results.campaign.name), Column(title="", right=True)], rows)
    for line in bad_lines(results):
        click.echo(printable(line))


def _stop_broker(session: Session) -> None:
    """A broker that this command has started is not left behind, unless somebody needs it; another command starts it again."""
    if not session.started_here:
        return
    session.close()
    try:
        stop_broker(session.settings.home, force=False)
    except BrokerBusy:
        pass  # Blocks of others work with it.
    except Unreachable as error:
        say(f"the broker was not stopped: {error}")
