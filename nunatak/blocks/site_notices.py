"""What a user should know of nodes, blocks and sites, in the words of `nunatak status`."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from broker.records import BadNode
from launcher.block import Block, BlockState
from launcher.targets import SiteState
from nunatak.blocks.words import several

#: Bad nodes that are named.
_NAMED = 3


def held_text(sites: Mapping[str, SiteState]) -> list[str]:
    """Sites on which nothing more is submitted, since when and why."""
    return [_held(name, state) for name, state in sorted(sites.items()) if state.paused or state.held]


def _held(name: str, state: SiteState) -> str:
    since, why = (state.paused_at, state.paused) if state.paused else (state.held_since, state.held)
    remedy = f"; when its cause is gone: nunatak blocks resume {name}" if state.paused else ""
    return f"nothing is submitted on {name} since {_clock(since)}, because {why}{remedy}"


def waiting_text(blocks: Iterable[Block]) -> list[str]:
    """Blocks that wait for their scheduler, by site, with the commonest reason."""
    sites: dict[str, list[Block]] = {}
    for block in blocks:
        if block.state is BlockState.WAITING:
            sites.setdefault(block.site, []).append(block)
    return [f"{_wait(len(waits))} on {site}{_why(waits)}" for site, waits in sorted(sites.items())]


def _wait(count: int) -> str:
    return "1 block waits" if count == 1 else f"{count:,} blocks wait"


def _why(blocks: Sequence[Block]) -> str:
    reasons = Counter(block.reason for block in blocks if block.reason)
    return f": {reasons.most_common(1)[0][0]}" if reasons else ""


def bad_nodes_text(nodes: Sequence[BadNode], live: Iterable[str]) -> list[str]:
    """Nodes of living blocks that are given nothing more, because jobfiles fail there that do not fail elsewhere."""
    blocks = set(live)
    bad = [node for node in nodes if node.block in blocks]
    if not bad:
        return []
    named = "; ".join(f"{node.node} (block {node.block}) since {_clock(node.since)}: {node.reason}" for node in bad[:_NAMED])
    more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
    return [f"{several(len(bad), 'bad node')} given nothing more: {named}{more}; mended: nunatak blocks forgive NODE"]


def _clock(at: float) -> str:
    """The time of day; with the date, if it is not of today."""
    then = time.localtime(at)
    return time.strftime("%H:%M" if then[:3] == time.localtime()[:3] else "%Y-%m-%d %H:%M", then)
