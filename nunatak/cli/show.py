"""`nunatak show`: all that is known of one jobfile."""

import time
from collections.abc import Iterator

import click

from broker.records import Attempt, Campaign, Job, State
from nunatak.jobfile_names import JobfileNames
from nunatak.log_files import log_files
from nunatak.overview import paused_text
from nunatak.reach import with_broker
from nunatak.relaning import own_options
from nunatak.screen import Column, print_table, printable
from nunatak.session import Broker
from nunatak.shown import OPTION_NAMES, as_json, attempts, elapsed_s, history_line
from tasks.quantity import format_duration, format_memory


@click.command("show", epilog="Example: nunatak show qsub_WV01_20150610")
@click.argument("jobfile")
@click.option("--json", "json_object", is_flag=True, help="One JSON object: the keys of `nunatak jobs`, and all attempts.")
@with_broker
def command(broker: Broker, jobfile: str, json_object: bool) -> None:
    """Show one jobfile: its state, its options, where its logs are, and every attempt.

    JOBFILE is a path, a name, or the beginning of a name.
    """
    job = JobfileNames(broker.client).find(jobfile)
    now_s = broker.ledger.now_s()
    if json_object:
        click.echo(as_json(history_line(job, now_s)))
        return
    campaign = broker.ledger.campaign(job.campaign)
    for line in _facts(job, campaign, own_options(broker.client, job.job_id)):
        click.echo(printable(line))
    print_table(_COLUMNS, [_row(attempt, job, now_s) for attempt in attempts(job)])


def _facts(job: Job, campaign: Campaign | None, own: tuple[str, ...]) -> Iterator[str]:
    yield job.path
    yield f"  state     {_state(job)}"
    if job.state is State.QUEUED and campaign is not None and campaign.paused:
        yield f"            {job.campaign} is {paused_text(campaign)}"
    yield f"  campaign  {job.campaign}"
    yield f"  options   {_options(job, campaign)}"
    if own:
        yield f"            its own #NUNATAK line sets {', '.join(own)}"
    yield f"  counts    {job.failures} failures, {job.deliveries} times given out, {job.losses} times lost with its node"
    files = log_files(job, campaign, job.latest.number)
    found = [str(path) for path in (files.out, files.err) if path.exists()]
    yield f"  logs      {' and '.join(found) or f'none yet; {files.out} when it starts'}"


def _state(job: Job) -> str:
    if job.state is State.RUNNING:
        where = f" on {job.latest.node}" if job.latest.node else ""
        return f"running{where}{', asked to end' if job.cancelling else ''}"
    if job.state is State.DONE and job.skipped:
        return "done: its outputs were there, it was not run"
    bad = job.state not in (State.QUEUED, State.DONE)
    return f"{job.state.value}: {job.latest.reason}" if bad and job.latest.reason else job.state.value


def _options(job: Job, campaign: Campaign | None) -> str:
    """What holds for this jobfile: its own priority and share, the campaign's other options."""
    given = campaign.options if campaign is not None else {}
    shown = (field for field in OPTION_NAMES if given.get(field) and field not in ("priority", "per_node"))
    others = [f"{field}={given[field]}" for field in shown]
    share = [f"per_node={job.per_node}"] if job.per_node else []
    return " ".join([f"priority={job.priority}", *share, *others])


_COLUMNS = (
    Column(title="TRY", right=True),
    Column(title="STARTED"),
    Column(title="TIME", right=True),
    Column(title="CPU", right=True),
    Column(title="MEMORY", right=True),
    Column(title="NODE"),
    Column(title="ENDING", wide=True),
)


def _row(attempt: Attempt, job: Job, now_s: float) -> list[str]:
    is_latest = attempt.number == job.latest.number
    took = elapsed_s(job, now_s) if is_latest else attempt.elapsed_s
    return [
        str(attempt.number),
        "" if attempt.started_at is None else time.strftime("%m-%d %H:%M:%S", time.localtime(attempt.started_at)),
        "" if took is None else format_duration(took),
        "" if attempt.cpu_s is None else format_duration(attempt.cpu_s),
        "" if attempt.max_rss_mb is None else format_memory(round(attempt.max_rss_mb)),
        attempt.node or "",
        _ending(attempt, running=is_latest and job.state is State.RUNNING),
    ]


def _ending(attempt: Attempt, *, running: bool) -> str:
    if running:
        return "running"
    reason = f": {attempt.reason}" if attempt.reason else ""
    return f"{(attempt.ending or '?').replace('_', ' ')}{reason}"
