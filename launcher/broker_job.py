"""The broker in a batch job of its own: submitted once, found again by whoever asks next.

Its record is a file and not the ledger's: the ledger is down just when such a job is wanted. The name of its folder decides who submits,
as an epoch's does: `mkdir` on a shared filesystem has one winner.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from broker.home import Home
from launcher import blocks
from launcher.block import Block, BlockState
from launcher.command import worker_command
from launcher.errors import BlockExists, LauncherError
from launcher.job_file import JobFile
from launcher.site import Site
from launcher.slurm_files import read_ended, read_started

_NUMBERED = re.compile(r"broker-(\d+)-[0-9a-f]{6}")


class BrokerJobLives(LauncherError):
    """A batch job of the broker waits or runs already, or nobody can say that it does not."""

    def __init__(self, job: Block, why: str) -> None:
        super().__init__(why)
        self.job = job


def broker_site(site: Site, walltime: str = "") -> Site:
    """The site with one node, and this walltime if one is given. Raises LauncherError if it does not allow that.

    The job's script is that of a block: its one node runs another command, that is all.
    """
    try:
        return replace(site, nodes_per_block=1, walltime=walltime or site.walltime)
    except ValueError as error:
        raise LauncherError(f"the broker needs a job of one node. {error}") from error


def last_job(home: Home) -> Block | None:
    """The last job as it was recorded; None if there was none. Raises OSError."""
    numbers = _numbers(home)
    if not numbers:
        return None
    block_id = _block_id(home, numbers[-1])
    made_at = blocks.block_folder(home, block_id).stat().st_mtime
    # Its submitter died before it wrote anything, or is about to.
    unwritten = Block(block_id=block_id, site="", provider="slurm", submitted_at=made_at)
    return JobFile(home).read(block_id) or unwritten


def by_its_files(job: Block, home: Home) -> Block:
    """The job as its own script has written that it is, without asking the scheduler."""
    folder = blocks.block_folder(home, job.block_id)
    if job.state.is_over:
        return job
    if (ended := read_ended(folder)) is not None:
        return replace(job, state=BlockState.ENDED, ended_at=ended.ended_at)
    return replace(job, state=BlockState.RUNNING) if read_started(folder) is not None else job


def look(job: Block, home: Home, *, clock: Callable[[], float] = time.time) -> tuple[Block, str]:
    """The job as it is now, recorded; and why its scheduler said nothing, empty if it did."""
    answer = blocks.look_all((job,), home, clock=clock)
    now = answer.blocks[0]
    if now is not job:
        JobFile(home).record_block(now.block_id, now.to_fields())
    return now, answer.silence.get(job.provider, "")


def submit_broker(site: Site, home: Home, *, command: Sequence[str] = (), clock: Callable[[], float] = time.time) -> Block:
    """Submit the job, unless one waits or runs. `site` is one that `broker_site` made; `command` is what it runs, our broker if empty.

    Raises BrokerJobLives, SubmitFailed.
    """
    home.create()
    before = last_job(home)
    if before is not None and not before.state.is_over:
        before, silence = look(before, home, clock=clock)
        if not before.state.is_over:
            raise BrokerJobLives(before, _why(before, silence, home))
    # The one after the job that was found to be over, and not after the last that there is by now: that may be somebody else's.
    block_id = _block_id(home, _number(before) + 1 if before is not None else 1)
    try:
        return blocks.submit(site, home, block_id, ledger=JobFile(home), command=command or serve_command(block_id), clock=clock)
    except BlockExists as error:
        theirs = last_job(home)
        assert theirs is not None
        raise BrokerJobLives(theirs, f"somebody else submits the broker at this moment, as {block_id}: nunatak broker status") from error


def serve_command(block_id: str) -> tuple[str, ...]:
    """What the job runs: the broker, moved from where it lives."""
    return (*worker_command(block_id)[:-3], "broker", "serve", "--move")


def _why(job: Block, silence: str, home: Home) -> str:
    named = f"job {job.job_id}" if job.job_id else f"a job named {job.block_id}"
    folder = blocks.block_folder(home, job.block_id)
    if silence:
        return f"{named} of the broker was submitted, and nobody can say whether it lives: {silence}. Try again later"
    if job.state in (BlockState.INTENDED, BlockState.UNKNOWN):
        return (
            f"{named} of the broker was about to be submitted, and its scheduler does not mention it: after ten minutes of that it counts "
            f"as gone. If you know that it does not exist: rm -r {folder}"
        )
    words = f" ({job.reason})" if job.reason else ""
    cancel = f"; scancel {job.job_id} ends it" if job.job_id and job.provider == "slurm" else ""
    return f"{named} of the broker is {job.state.value}{words}, see {folder}{cancel}"


def _number(job: Block) -> int:
    found = _NUMBERED.fullmatch(job.block_id)
    assert found is not None
    return int(found[1])


def _numbers(home: Home) -> list[int]:
    try:
        names = os.listdir(home.blocks_dir)
    except FileNotFoundError:
        return []
    return sorted(int(found[1]) for name in names if (found := _NUMBERED.fullmatch(name)))


def _block_id(home: Home, number: int) -> str:
    """A name that no job of another home has: the scheduler knows all of the user's by their names."""
    digest = hashlib.blake2b(os.fsencode(os.path.realpath(home.root)), digest_size=3).hexdigest()
    return f"broker-{number}-{digest}"
