"""`nunatak log`: what a jobfile has written."""

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from broker.errors import Unreachable
from broker.records import ENDED, Job
from nunatak.errors import WrongUse
from nunatak.following import Follower
from nunatak.jobfile_names import JobfileNames
from nunatak.lasting import LastingLedger
from nunatak.log_files import LogFiles, log_files
from nunatak.reach import settings_of, with_broker
from nunatak.screen import say
from nunatak.session import Broker

#: How often a followed file is looked at, and how many of these looks pass before the broker is asked whether the jobfile has ended.
_LOOK_EVERY_S = 0.5
_LOOKS_PER_QUESTION = 4


@click.command("log", epilog="Example: nunatak log qsub_WV01_20150610 -f")
@click.argument("jobfile")
@click.option("-f", "--follow", is_flag=True, help="Go on until the jobfile has ended, over all its attempts.")
@click.option("--err", is_flag=True, help="What it wrote to standard error, too, after the rest.")
@click.option("--attempt", type=click.IntRange(1), metavar="N", help="Of its Nth attempt; the latest by default.")
@with_broker
def command(broker: Broker, jobfile: str, follow: bool, err: bool, attempt: int | None) -> None:
    """Print what a jobfile has written: the .out file of its latest attempt.

    JOBFILE is a path, a name, or the beginning of a name.
    """
    job = JobfileNames(broker.client).find(jobfile)
    if follow and attempt is not None:
        raise click.UsageError("-f follows the latest attempt; leave out --attempt, or -f")
    files = log_files(job, broker.ledger.campaign(job.campaign), _number(job, attempt))
    wanted = [files.out, *([files.err] if err else [])]
    if follow:
        with LastingLedger(settings_of(click.get_current_context())) as ledger:
            follow_files(wanted, lambda: _has_ended(ledger, job), time.sleep)
        return
    found = [path for path in wanted if path.exists()]
    if not found:
        raise WrongUse(_nothing_there(job, files))
    for path in found:
        if len(wanted) > 1:
            say(f"==> {path} <==")
        with path.open("rb") as source:
            shutil.copyfileobj(source, sys.stdout.buffer)
        sys.stdout.buffer.flush()


def _number(job: Job, attempt: int | None) -> int:
    if attempt is None:
        return job.latest.number
    if attempt > job.latest.number:
        raise WrongUse(f"{job.name} was started {job.latest.number} times, so there is no attempt {attempt}")
    return attempt


def _nothing_there(job: Job, files: LogFiles) -> str:
    if job.latest.number == 0:
        return f"{job.path} is {job.state.value} and was never started here, so it has written nothing; nunatak show {job.name}"
    return f"{files.out} is not there: it was removed, or {job.name} could not be started; nunatak show {job.name}"


def _has_ended(ledger: LastingLedger, job: Job) -> bool:
    """Whether it will write nothing more; while the broker is away nobody knows, so the following goes on."""
    try:
        now = ledger.ask(lambda reading: reading.job(job.job_id))
    except Unreachable:
        return False
    return now is None or now.state in ENDED


def follow_files(paths: Sequence[Path], has_ended: Callable[[], bool], sleep: Callable[[float], object]) -> None:
    """Copy to standard output what the files get, until `has_ended`, and then what came since."""

    def pass_on(chunk: bytes) -> None:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()

    followers = [Follower(path, pass_on) for path in paths]
    ended = False
    while not ended:
        ended = has_ended()
        for _ in range(1 if ended else _LOOKS_PER_QUESTION):
            for follower in followers:
                follower.run_once()
            if not ended:
                sleep(_LOOK_EVERY_S)
    for follower in followers:
        follower.close()
