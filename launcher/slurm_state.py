"""What Slurm's answer and a block's own files mean: facts in, one pure function, a sighting out."""

import time
from dataclasses import dataclass, replace

from launcher.block import Block, BlockState
from launcher.sighting import Sighting
from launcher.slurm_files import Ended, Started
from launcher.slurm_queue import Row
from launcher.slurm_reasons import in_words

#: A block that all healthy answers have lacked for this long is not coming any more (LEASES rule 26: a frozen controller may carry out
#: a submission when it wakes up, long after sbatch has given up).
MISSING_S = 600.0
#: The reason of a block whose launcher was killed before it could submit it; one whose submission failed has more in its reason.
NEVER_SUBMITTED = "it was never submitted"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of one block at one look."""

    #: As it is recorded.
    block: Block
    #: Slurm's word on it; None: there was none.
    row: Row | None
    #: Slurm's answer was whole.
    healthy: bool
    #: What its script wrote.
    started: Started | None
    ended: Ended | None
    #: Slurm was asked for its very number and knows it no more.
    forgotten: bool
    now: float


def missing_s(facts: Facts) -> float:
    """For how long all healthy answers have lacked it, this one included; 0: this one has it, or is none."""
    since = facts.block.missing_since
    return facts.now - since if facts.healthy and facts.row is None and since is not None else 0.0


def judge(facts: Facts) -> Sighting:
    """The state that these facts prove; where nobody who knows has said anything, the block stays as it was."""
    seen = _judge(facts)
    times = facts.started or Started(job_id="", host="", started_at=None, ends_at=None)
    return replace(
        seen,
        job_id=seen.job_id or times.job_id,
        started_at=seen.started_at if seen.started_at is not None else times.started_at,
        ends_at=seen.ends_at if seen.ends_at is not None else times.ends_at,
        mentioned=facts.row is not None if facts.healthy else None,
    )


def _judge(facts: Facts) -> Sighting:
    if facts.row is not None and facts.row.state.is_over:
        return _over(facts.row, facts)
    if facts.ended is not None:
        return _end_file(facts.ended, facts)
    if facts.row is not None:
        return _alive(facts.row, facts.block)
    return _missing(facts) if facts.healthy else Sighting(state=facts.block.state, reason=facts.block.reason)


def _alive(row: Row, block: Block) -> Sighting:
    state, asked = row.state, block.cancelled_at is not None
    runs = state in (BlockState.RUNNING, BlockState.LEAVING)
    return Sighting(
        state=BlockState.LEAVING if asked and state is not BlockState.UNKNOWN else state,
        reason=in_words(row.word, row.reason),
        job_id=row.job_id,
        # Of a job that waits it is a guess.
        started_at=row.starts_at if runs else None,
        ends_at=row.ends_at if runs else None,
    )


def _over(row: Row, facts: Facts) -> Sighting:
    """Slurm's word first: a script that the walltime ends says 143, which is no fault of its own."""
    block, ended = facts.block, facts.ended
    if row.word in ("COMPLETED", "FAILED") and ended is not None:
        seen = _end_file(ended, facts)
    else:
        asked = block.cancelled_at is not None
        words = in_words(row.word, row.reason) or ("its script ended badly" if row.word == "FAILED" else "")
        seen = Sighting(state=BlockState.CANCELLED if asked else row.state, reason="" if asked else words, ended_at=row.ends_at)
    # Slurm gives a job that was cancelled while it waited the moment of its end as its start.
    started = row.starts_at if row.starts_at is not None and row.starts_at != row.ends_at else None
    return replace(seen, job_id=row.job_id, started_at=started)


def _end_file(ended: Ended, facts: Facts) -> Sighting:
    bad = ", ".join(f"{node} ended with exit code {code}" for node, _, code in (word.rpartition(":") for word in ended.bad_nodes))
    if facts.block.cancelled_at is not None:
        return Sighting(state=BlockState.CANCELLED, ended_at=ended.ended_at)
    if (ends_at := _ends_at(facts)) is not None and ended.ended_at >= ends_at:
        return Sighting(state=BlockState.ENDED, reason="its walltime was over", ended_at=ended.ended_at)
    if ended.exit_code == 0:
        return Sighting(state=BlockState.ENDED, reason=bad, ended_at=ended.ended_at)
    reason = bad or f"its script ended with exit code {ended.exit_code}"
    return Sighting(state=BlockState.FAILED, reason=reason, ended_at=ended.ended_at)


def _missing(facts: Facts) -> Sighting:
    """A healthy answer does not mention it. That alone is no end: answers were seen to lack jobs that ran."""
    block, gone = facts.block, missing_s(facts) >= MISSING_S
    has_number = bool(block.job_id or facts.started)
    if gone and not has_number:
        return _never_was(block)
    if gone and facts.forgotten:
        return _forgotten(facts)
    if not has_number and block.state in (BlockState.INTENDED, BlockState.UNKNOWN, BlockState.LEAVING):
        return Sighting(state=block.state, reason=block.reason)
    since = time.strftime("%H:%M", time.localtime(block.missing_since if block.missing_since is not None else facts.now))
    return Sighting(state=BlockState.UNKNOWN, reason=f"squeue has not mentioned it since {since}, and it has not said that it has ended")


def _never_was(block: Block) -> Sighting:
    if block.cancelled_at is not None:
        return Sighting(state=BlockState.CANCELLED)
    why = f": {block.reason}" if block.reason else ""
    return Sighting(state=BlockState.FAILED, reason=f"{NEVER_SUBMITTED}{why}")


def _forgotten(facts: Facts) -> Sighting:
    ends_at = _ends_at(facts)
    if facts.block.cancelled_at is not None:
        return Sighting(state=BlockState.CANCELLED)
    if ends_at is not None and ends_at <= facts.now:
        return Sighting(state=BlockState.ENDED, reason="its walltime was over", ended_at=ends_at)
    return Sighting(state=BlockState.FAILED, reason="Slurm knows it no more, and it has not said how it ended")


def _ends_at(facts: Facts) -> float | None:
    return facts.block.ends_at or (facts.started.ends_at if facts.started else None)
