"""`nunatak run`: a directory's jobfiles, on this machine or on a cluster, from the start of the broker to the last output."""

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
from nunatak.blocks.cluster_run import ClusterRun
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
from nunatak.session import Session, for_nodes
from nunatak.sites import chosen_site

_EPILOG = """\b
Exit codes: 0 all are done, 1 any is not, 2 wrong use, 3 the broker cannot be had
or blocks die, 130 interrupted: the same command goes on.
\b
Example: nunatak run region_03_conus/jobfiles/2m --slots 4
\b
Example: nunatak run -s region_03_conus/jobfiles/2m -f stampede3-skx
"""


@click.command("run", epilog=_EPILOG)
@click.argument("directory", metavar="DIR", required=False, type=click.Path(path_type=Path))
@click.option("-s", "--scripts", metavar="DIR", type=click.Path(path_type=Path), help="The same as DIR.")
@enqueue_options
@click.option("--slots", type=click.IntRange(min=1), metavar="N", help="Jobfiles at a time on this machine. Default: one per processor.")
@click.option("-f", "--site", "word", default="local", show_default=True, metavar="SITE", help="A site, its file, or a Parsl config.")
@click.option("--max-su", type=click.FloatRange(min=0), metavar="SU", help="What all blocks for this may cost together, on a cluster.")
@click.option("--yes", is_flag=True, help="Do not ask, whatever blocks may cost.")
@click.pass_context
def command(
    context: click.Context, /, directory: Path | None, scripts: Path | None, slots: int | None, word: str, max_su: float | None, yes: bool,
    **options: Any,
) -> None:
    """Run the jobfiles of DIR until all have ended, on this machine or on a cluster.

    Starts the broker if none runs, enqueues DIR, starts blocks, and shows how far it is; the same command goes on where it stopped, and
    runs nothing twice. On this machine Ctrl-C ends what runs and hands it back. On a cluster blocks are submitted as they are needed, and
    go on after Ctrl-C.
    """
    settings = settings_of(context)
    site = chosen_site(settings.home, word)
    is_local = site.provider == "local"
    if slots is not None and not is_local:
        raise WrongUse(f"--slots {slots}: how many jobfiles run on a node of {site.name} stands in {site.source}, max_workers")
    request = request_of(_only_one(directory, scripts), **options)
    with Session(settings if is_local else for_nodes(settings)) as session:
        try:
            outcome = enqueue_directory(session, request)
            campaign = _announced(session, outcome)
            if campaign is None:
                context.exit(ExitCode.WRONG_USE)
            if is_local:
                results = LocalRun(session, with_slots(site, slots, len(os.sched_getaffinity(0))), campaign, outcome).run()
            else:
                results = ClusterRun(session, site, campaign).run(yes=yes, max_su=max_su)
            context.exit(_show(results, outcome))
        finally:
            _stop_broker(session)


def _only_one(directory: Path | None, scripts: Path | None) -> Path:
    if directory is not None and scripts is not None:
        raise click.UsageError(f"{directory} and -s {scripts}: give one directory")
    found = directory or scripts
    if found is None:
        raise click.UsageError("say which jobfiles: nunatak run DIR")
    return found


def _announced(session: Session, outcome: Outcome) -> Campaign | None:
    """The campaign, after saying what was enqueued; None if nothing was."""
    for line in (*word_lines(outcome), *result_lines(outcome)):
        say(line)
    if not outcome.accepted:
        return None
    campaign = session.insist(lambda broker: broker.ledger.campaign(outcome.request.name))
    if campaign is None:
        raise Gone(f"campaign {outcome.request.name} was forgotten at this moment; run the command again")
    return campaign


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


def _show(results: Results, outcome: Outcome) -> ExitCode:
    rejected = len(outcome.rejected)
    rows = [*table(results), *([("rejected, not enqueued", f"{rejected:,}")] if rejected else [])]
    print_table([Column(title=results.campaign.name), Column(title="", right=True)], rows)
    for line in bad_lines(results):
        click.echo(printable(line))
    return ExitCode.WELL if results.all_done and not rejected and not outcome.elsewhere else ExitCode.SOME_BAD


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
