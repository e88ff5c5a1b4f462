"""Blocks as `nunatak blocks list` shows them: one JSON shape, which is a contract, and lines of 80 columns for people."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from broker.records import WorkerSeen
from launcher.block import Block, BlockState
from nunatak.screen import printable
from tasks.quantity import format_duration

_WIDTH = 80
#: Blocks that ended earlier are shown with --all only.
_NEWS_S = 86400.0
_ROW = "{:<23} {:<9} {:>5} {:>7} {:>8} {:>6}  {}"
_INDENT = "    "
_TITLES = ("BLOCK", "STATE", "NODES", "RUNNING", "LEFT", "SU", "SITE")


def shown(blocks: Iterable[Block], now: float) -> list[Block]:
    """Those that live or ended within a day, the oldest first."""
    return sorted((b for b in blocks if b.ended_at is None or now - b.ended_at < _NEWS_S), key=lambda b: (b.submitted_at, b.block_id))


def state_word(block: Block) -> str:
    """The state's name; `draining` while a block that was told to take nothing more runs on."""
    is_draining = block.drained_at is not None and block.state in (BlockState.RUNNING, BlockState.WAITING)
    return "draining" if is_draining else block.state.value


def ends_at(block: Block) -> float | None:
    """When it ends at the latest; None: it has not begun, or has no walltime."""
    if block.ends_at is not None:
        return block.ends_at
    return block.started_at + block.walltime_s if block.started_at is not None and block.walltime_s is not None else None


def remaining_s(block: Block, now: float) -> float | None:
    """How much of its time is left; None: not known, it has not begun, or is over."""
    end = ends_at(block)
    if end is None or block.started_at is None or block.state.is_over:
        return None
    return max(0.0, end - now)


def block_line(block: Block, heard: Sequence[WorkerSeen], now: float) -> dict[str, Any]:
    """One line of `nunatak blocks list --json`; `heard` are all workers in contact. What is not known (yet) is null."""
    theirs = [] if block.state.is_over else [worker for worker in heard if worker.block == block.block_id]
    left, most = remaining_s(block, now), block.su_max
    return {
        "block": block.block_id,
        "job_id": block.job_id or None,
        "site": block.site,
        "campaigns": list(block.campaigns),
        "state": state_word(block),
        "nodes": block.nodes,
        "nodes_up": len(theirs),
        "slots": block.nodes * block.slots,
        "running": sum(worker.running for worker in theirs),
        "submitted_at": block.submitted_at or None,
        "started_at": block.started_at,
        "ends_at": ends_at(block) if block.ended_at is None else block.ended_at,
        "remaining_s": None if left is None else round(left, 3),
        "reason": block.reason or None,
        "su_max": None if most is None else round(most, 3),
        "su": round(block.su(now), 3),
    }


def text_lines(blocks: Sequence[Block], heard: Sequence[WorkerSeen], now: float) -> Iterator[str]:
    """A row for each block and, below it, what there is to say of it."""
    if blocks:
        yield _ROW.format(*_TITLES)
    for block in blocks:
        line = block_line(block, heard, now)
        su = f"{line['su']:,.0f}" if line["su"] >= 10 else f"{line['su']:.2f}"
        nodes = f"{line['nodes_up']}/{line['nodes']}"
        row = _ROW.format(block.block_id, line["state"], nodes, line["running"], _left(line["remaining_s"]), su, block.site)
        yield printable(row.rstrip())
        # A path or a name that is broken cannot be copied.
        text = printable(detail(block))
        yield from textwrap.wrap(
            text, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False
        )


def _left(seconds: float | None) -> str:
    """To the minute."""
    return "-" if seconds is None else format_duration(round(seconds / 60) * 60).removesuffix(" 00s")


def detail(block: Block) -> str:
    """`job 4711, for conus-2m: it is next, and waits for nodes to become free`."""
    parts = [f"job {block.job_id}" if block.job_id else "no job number yet" if not block.state.is_over else "no job"]
    if block.campaigns:
        parts.append(f"for {', '.join(block.campaigns)}")
    why = block.reason or ("its scheduler has not said why it waits" if block.state is BlockState.WAITING else "")
    return ", ".join(parts) + (f": {why}" if why else "")
