"""`nunatak jobs`: every jobfile with its state."""

from collections.abc import Iterable, Iterator

import click

from broker.records import Job, State
from nunatak.campaign_names import find_campaign
from nunatak.reach import with_broker
from nunatak.screen import Column, on_terminal, print_table
from nunatak.session import Broker
from nunatak.shown import as_json, elapsed_s, job_line
from tasks.quantity import format_duration

_BAD = (State.FAILED, State.QUARANTINED, State.CANCELLED)


@click.command("jobs", epilog="Example: nunatak jobs --campaign region_03_conus-2m --state failed")
@click.option("--campaign", metavar="NAME", help="Only those of this campaign.")
@click.option("--state", type=click.Choice([s.value for s in State]), help="Only those in this state.")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object per line; times are Unix seconds, unknown values null.")
@with_broker
def command(broker: Broker, campaign: str | None, state: str | None, json_lines: bool) -> None:
    """List jobfiles with their state, in the order they were enqueued.

    Those that run or ended badly are found at once, however many there are.
    """
    if campaign is not None:
        find_campaign(broker.ledger, campaign)
    now_s = broker.ledger.now_s()
    jobs = broker.ledger.jobs(campaign, None if state is None else State(state))
    if json_lines:
        for job in jobs:
            click.echo(as_json(job_line(job, now_s)))
        return
    columns = [Column(title="STATE"), Column(title="TRY", right=True), Column(title="TIME", right=True)]
    if on_terminal():
        print_table([*columns, Column(title="JOBFILE", wide=True)], _terminal_rows(jobs, now_s))
    else:
        columns += [Column(title="NODE"), Column(title="EXIT", right=True), Column(title="CAMPAIGN"), Column(title="JOBFILE")]
        print_table([*columns, Column(title="REASON")], _plain_rows(jobs, now_s))


def _row(job: Job, now_s: float) -> list[str]:
    took = elapsed_s(job, now_s)
    state = "skipped" if job.skipped and job.state is State.DONE else job.state.value
    return [state, str(job.latest.number), "" if took is None else format_duration(took)]


def _terminal_rows(jobs: Iterable[Job], now_s: float) -> Iterator[list[str]]:
    """The name alone, and under it what there is to say: with its path, one jobfile would fill three lines of 80 columns."""
    for job in jobs:
        note = _note(job)
        yield [*_row(job, now_s), f"{job.name}\n  {note}" if note else job.name]


def _note(job: Job) -> str:
    if job.state is State.RUNNING:
        return f"on {job.latest.node}{', asked to end' if job.cancelling else ''}"
    return job.latest.reason or "" if job.state in _BAD or job.failures else ""


def _plain_rows(jobs: Iterable[Job], now_s: float) -> Iterator[list[str]]:
    for job in jobs:
        code = "" if job.latest.exit_code is None else str(job.latest.exit_code)
        yield [*_row(job, now_s), job.latest.node or "", code, job.campaign, job.path, job.latest.reason or ""]
