"""Reads squeue's answer. An answer is whole or it is none: half of one, mistaken for all, would have blocks submitted twice."""

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from launcher.block import BlockState

#: What each row begins and ends with. A job's name may hold line breaks and bars, so it comes last.
_BEGIN, _END = "<nunatak|", "|nunatak>\n"
#: For squeue's -o: number, state, reason, partition, start, end, name. The header is asked for too: without it, an empty answer could be
#: that of a user without jobs or of a squeue that has said nothing.
FORMAT = f"{_BEGIN}%i|%T|%r|%P|%S|%e|%j{_END.rstrip()}"
_HEADER = "JOBID"
_FIELDS = 7
_JOB_ID = re.compile(r"\d+([_+]\S+)?")
_STATE = re.compile(r"[A-Z_]+")


class Garbage(Exception):
    """Not what squeue says; the text is the beginning of what came instead."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One job of this user."""

    job_id: str
    #: Slurm's word.
    word: str
    #: Slurm's reason, which for a waiting job is why it waits.
    reason: str
    partition: str
    #: When it started, or may start; None: not known.
    starts_at: float | None
    #: When it ended, or ends at the latest; None: not known.
    ends_at: float | None
    name: str

    @property
    def state(self) -> BlockState:
        """What Slurm's word means to us; a word that is not in the list is UNKNOWN."""
        return STATES.get(self.word, BlockState.UNKNOWN)


#: Slurm's words of `man squeue` (22.05 to 25.05), those that mean one thing for certain. A pilot that was ended by its walltime has ended
#: well; what is being signalled or resized runs; what is completing still has its nodes.
STATES: Mapping[str, BlockState] = {
    "PENDING": BlockState.WAITING,
    "CONFIGURING": BlockState.WAITING,
    "REQUEUED": BlockState.WAITING,
    "REQUEUE_HOLD": BlockState.WAITING,
    "RUNNING": BlockState.RUNNING,
    "RESIZING": BlockState.RUNNING,
    "SIGNALING": BlockState.RUNNING,
    "SUSPENDED": BlockState.RUNNING,
    "STOPPED": BlockState.RUNNING,
    "COMPLETING": BlockState.LEAVING,
    "STAGE_OUT": BlockState.LEAVING,
    "COMPLETED": BlockState.ENDED,
    "TIMEOUT": BlockState.ENDED,
    "CANCELLED": BlockState.CANCELLED,
    "FAILED": BlockState.FAILED,
    "NODE_FAIL": BlockState.FAILED,
    "BOOT_FAIL": BlockState.FAILED,
    "DEADLINE": BlockState.FAILED,
    "OUT_OF_MEMORY": BlockState.FAILED,
    "PREEMPTED": BlockState.FAILED,
    "REVOKED": BlockState.FAILED,
}


def parse_queue(text: str) -> tuple[Row, ...]:
    """The rows of a whole answer to FORMAT. Raises Garbage for anything else."""
    if not text.strip():
        raise Garbage("squeue answered nothing, not even its header")
    if not (text.startswith(_BEGIN) and text.endswith(_END)):
        raise Garbage(f"squeue answered garbage: {_beginning(text)}")
    records = text.removeprefix(_BEGIN).removesuffix(_END).split(_END + _BEGIN)
    header, *rows = (record.split("|", _FIELDS - 1) for record in records)
    if header[0] != _HEADER or len(header) != _FIELDS:
        raise Garbage(f"squeue answered without its header: {_beginning(text)}")
    return tuple(_row(fields) for fields in rows)


def _row(fields: list[str]) -> Row:
    if len(fields) != _FIELDS or not _JOB_ID.fullmatch(fields[0]) or not _STATE.fullmatch(fields[1]):
        raise Garbage(f"squeue answered with a row that is none: {_beginning('|'.join(fields))}")
    job_id, word, reason, partition, starts, ends, name = fields
    return Row(
        job_id=job_id, word=word, reason=reason, partition=partition, starts_at=_seconds(starts), ends_at=_seconds(ends), name=name
    )


def _seconds(text: str) -> float | None:
    """Unix seconds, or a local time where Slurm did not hear of SLURM_TIME_FORMAT; N/A, NONE, Unknown: None."""
    if text.isdigit():
        return float(text)
    try:
        return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None


def row_of(name: str, job_id: str, rows: Iterable[Row]) -> Row | None:
    """The block's row. Somebody may have submitted its script a second time: the number decides, then what lives, then what is younger."""
    named = [row for row in rows if row.name == name]
    return max(named, key=lambda row: (row.job_id == job_id, not row.state.is_over, len(row.job_id), row.job_id), default=None)


def others(rows: Iterable[Row], names: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Partition -> (running, waiting) of the jobs that are called otherwise. One that waits in two partitions counts in both."""
    ours, counts = frozenset(names), dict[str, tuple[int, int]]()
    for row in rows:
        runs, waits = row.state in (BlockState.RUNNING, BlockState.LEAVING), row.state in (BlockState.WAITING, BlockState.UNKNOWN)
        for partition in row.partition.split(",") if row.name not in ours else ():
            running, waiting = counts.get(partition, (0, 0))
            counts[partition] = (running + runs, waiting + waits)
    return {partition: count for partition, count in counts.items() if any(count)}


def _beginning(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "…")
