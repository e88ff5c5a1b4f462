"""The files of a Slurm block, in `$NUNATAK_HOME/blocks/ID/`: ID.TIME (its script, named by Parsl), `node.sh` (what each node runs),
`ID.out` (what all of them say), and the two that the script writes by itself: `started` and `ended`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: What each node runs.
NODE_SCRIPT = "node.sh"
STARTED, ENDED = "started", "ended"


@dataclass(frozen=True, kw_only=True)
class Started:
    """What the script wrote at its start."""

    job_id: str
    #: The batch host.
    host: str
    #: Unix seconds, as Slurm says or the script's own.
    started_at: float | None
    #: The same; None: no limit is known.
    ends_at: float | None


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What the script wrote at its end."""

    exit_code: int
    ended_at: float
    #: `NODE:EXIT_CODE` of the nodes that did not end well.
    bad_nodes: tuple[str, ...]


def block_file(folder: Path) -> Path:
    """What the block's nodes are told, beside its folder; whoever submits a block of workers writes it first."""
    return folder.parent / f"{folder.name}.json"


def output_file(folder: Path, block_id: str) -> Path:
    return folder / f"{block_id}.out"


def read_started(folder: Path) -> Started | None:
    """None: it has not started, or could not write."""
    fields = _fields(folder / STARTED)
    if not fields.get("job_id"):
        return None
    return Started(
        job_id=fields["job_id"],
        host=fields.get("host", ""),
        started_at=_number(fields.get("started_at", "")),
        ends_at=_number(fields.get("ends_at", "")),
    )


def read_ended(folder: Path) -> Ended | None:
    """None: it has not ended, or was killed, or could not write."""
    fields = _fields(folder / ENDED)
    exit_code, ended_at = _number(fields.get("exit_code", "")), _number(fields.get("ended_at", ""))
    if exit_code is None or ended_at is None:
        return None
    return Ended(exit_code=int(exit_code), ended_at=ended_at, bad_nodes=tuple(fields.get("bad_nodes", "").split()))


def _fields(file: Path) -> Mapping[str, str]:
    """`name=value` lines. A file that cannot be read proves nothing, as one that is not there."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _number(text: str) -> float | None:
    return float(text) if text.isdigit() else None
