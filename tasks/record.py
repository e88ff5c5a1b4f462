"""Where an attempt's result record lies, and reading it; the guard's scribe writes it and removes it after the settle.

A claimer looks for it whatever its delivery count (LEASES rule 18): the work of a worker that died after its jobfile had ended is not
done again.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.errors import CannotLook

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{2,128}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """How an attempt ended, as the guard that saw it wrote down."""

    job_id: str
    attempt: int
    #: The claim's token under which it ran.
    token: str
    exit_code: int | None
    signal: int | None
    elapsed_s: float
    cpu_s: float
    max_rss_mb: float
    #: Why we ended it (see tasks.ending.EndedFor), None if it ended by itself.
    ended_for: str | None
    #: Unix seconds, by the node's clock.
    ended_unix: float


def record_path(records_dir: Path, job_id: str, attempt: int) -> Path:
    """The record's file: folders by the first two characters of the id, because filesystems are slow in large ones."""
    if not _JOB_ID.fullmatch(job_id) or attempt < 0:
        raise ValueError(f"no record can be named by job id {job_id!r} and attempt {attempt}: the id is 2 to 128 letters, digits, - and _")
    return records_dir / job_id[:2] / f"{job_id}.{attempt}.json"


def read_record(records_dir: Path, job_id: str, attempt: int) -> Record | None:
    """The record of an attempt; None if there is none, or only a half-written or foreign one. Raises CannotLook."""
    path = record_path(records_dir, job_id, attempt)
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:  # Not "none": that would start a second run of what may have ended.
        raise CannotLook(path, error) from error
    record = parse_record(text)
    return record if record and (record.job_id, record.attempt) == (job_id, attempt) else None


def parse_record(text: bytes) -> Record | None:
    """The record that a file's content holds; None unless it is whole."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _record(said) if isinstance(said, dict) and _is_whole(said) else None


#: Each key of the file, and what its value may be.
_KEYS: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "attempt": (int,),
    "token": (str,),
    "exit_code": (int, type(None)),
    "signal": (int, type(None)),
    "elapsed_s": (int, float),
    "cpu_s": (int, float),
    "max_rss_mb": (int, float),
    "ended_for": (str, type(None)),
    "ended_unix": (int, float),
}


def _is_whole(said: dict[str, Any]) -> bool:
    return all(key in said and isinstance(said[key], kinds) and not isinstance(said[key], bool) for key, kinds in _KEYS.items())


def _record(said: dict[str, Any]) -> Record:
    return Record(job_id=said["id"], **{key: said[key] for key in _KEYS if key != "id"})
