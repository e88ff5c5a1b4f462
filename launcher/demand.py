"""How many more blocks of a site the waiting jobfiles could use: a pure function of what waits and of what is there to take it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from launcher.block import Block, BlockState
from launcher.site import Site

#: Of a block that lasts a few minutes only, no larger part than this is kept for handing back.
_LARGEST_WARNING = 0.1
#: A block's nodes that have not reported yet are expected for this long after its start; those of an older block have left.
EXPECTED_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Jobfiles that wait, alike in all that decides where they fit."""

    campaign: str
    count: int
    #: How many of them share a node; 0: as many as it has slots.
    per_node: int = 0
    #: How long one may take; 0: nobody has said.
    estimate_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """A block's nodes, as far as the broker is in contact with them."""

    heard: int = 0
    #: Those of them that run nothing and would take something.
    free: int = 0


@dataclass(frozen=True, kw_only=True)
class Help:
    """Nodes that are there, or will be, without another submission."""

    #: The campaigns that they work for; empty: all.
    campaigns: tuple[str, ...]
    nodes: int
    slots: int
    #: For how long they will be there; None: nobody has said.
    remaining_s: float | None

    def takes(self, group: Waiting) -> bool:
        """Whether a jobfile of the group could run there."""
        is_theirs = not self.campaigns or group.campaign in self.campaigns
        return is_theirs and (self.remaining_s is None or group.estimate_s <= self.remaining_s)


def slots_of(site: Site) -> int:
    """Jobfiles at once on one node, as the site says."""
    return site.max_workers or site.cores_per_node or 1


def width(slots: int, per_node: int) -> int:
    """How many of such jobfiles run at once on a node with so many slots."""
    return min(slots, per_node) if per_node else slots


def help_of(block: Block, nodes: Nodes, now: float) -> Help:
    """What this block can take of what waits. What leaves, or was told to take no more, is none; nor is a node that is busy."""
    return Help(campaigns=block.campaigns, nodes=_free_nodes(block, nodes, now), slots=block.slots, remaining_s=_remaining_s(block, now))


def _free_nodes(block: Block, nodes: Nodes, now: float) -> int:
    if block.state.is_over or block.state is BlockState.LEAVING or block.drained_at is not None or block.cancelled_at is not None:
        return 0
    if block.state is not BlockState.RUNNING:
        return block.nodes
    is_young = block.started_at is None or now - block.started_at < EXPECTED_S
    return nodes.free + (max(0, block.nodes - nodes.heard) if is_young else 0)


def _remaining_s(block: Block, now: float) -> float | None:
    if block.state is BlockState.RUNNING and block.ends_at is not None:
        return block.ends_at - now
    return block.walltime_s


def fitting(site: Site, waiting: Iterable[Waiting]) -> tuple[Waiting, ...]:
    """Those that a new block of the site could run before its walltime is over."""
    walltime_s = math.inf if site.walltime_s is None else site.walltime_s
    limit = walltime_s - min(site.warn_s, walltime_s * _LARGEST_WARNING)
    return tuple(group for group in waiting if group.count > 0 and group.estimate_s <= limit)


def blocks_needed(site: Site, waiting: Sequence[Waiting], helping: Iterable[Help]) -> int:
    """How many more blocks of the site would have something to do: what waits, less what present nodes can take."""
    left = _left_over(fitting(site, waiting), helping)
    nodes = sum(count / width(slots_of(site), group.per_node) for group, count in left)
    # Shares of a node add up to whole nodes only up to the last digit.
    return math.ceil(nodes / site.nodes_per_block - 1e-9)


def _left_over(waiting: Sequence[Waiting], helping: Iterable[Help]) -> list[tuple[Waiting, float]]:
    """What present nodes do not take; those that are choosy about what they take are given theirs first."""
    left = [float(group.count) for group in waiting]
    for one in sorted(helping, key=lambda h: (not h.campaigns, len(h.campaigns))):
        nodes = float(one.nodes)
        for number, group in enumerate(waiting):
            if not one.takes(group):
                continue
            wide = width(one.slots, group.per_node)
            taken = min(left[number], nodes * wide)
            left[number] -= taken
            nodes -= taken / wide
    return list(zip(waiting, left, strict=True))
