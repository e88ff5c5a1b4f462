"""How many blocks the waiting jobfiles could use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from site_blocks import HOUR, NOW, block, site, waiting

from launcher.block import BlockState
from launcher.demand import Help, Nodes, blocks_needed, fitting, help_of


def helps(nodes: int, campaigns: tuple[str, ...] = (), slots: int = 2, remaining_s: float | None = None) -> Help:
    return Help(campaigns=campaigns, nodes=nodes, slots=slots, remaining_s=remaining_s)


@pytest.mark.parametrize(
    ("groups", "helping", "needed"),
    [
        ([], [], 0),
        ([waiting(1)], [], 1),
        ([waiting(8)], [], 1),
        ([waiting(9)], [], 2),
        # One to a node: half as many at a time.
        ([waiting(8, per_node=1)], [], 2),
        # More to a node than it has slots.
        ([waiting(8, per_node=16)], [], 1),
        # Two campaigns share the last block.
        ([waiting(4), waiting(2, "conus-50cm", per_node=1)], [], 1),
        ([waiting(16)], [helps(4)], 1),
        ([waiting(8)], [helps(4)], 0),
        ([waiting(8)], [helps(100)], 0),
        # Bound to another campaign: no help.
        ([waiting(8)], [helps(4, ("other",))], 1),
        # The bound one takes its own; the one for all is left to the others.
        ([waiting(8), waiting(8, "other")], [helps(4), helps(4, ("conus-2m",))], 0),
        # Its time is too short for them.
        ([waiting(8, estimate_s=2 * HOUR)], [helps(4, remaining_s=HOUR)], 1),
        ([waiting(8, estimate_s=2 * HOUR)], [helps(4, remaining_s=3 * HOUR)], 0),
        # Nodes of another site, with more slots.
        ([waiting(64)], [helps(4, slots=16)], 0),
    ],
)
def test_blocks_are_needed_for_what_present_nodes_do_not_take(groups, helping, needed):
    assert blocks_needed(site(), groups, helping) == needed


def test_what_takes_longer_than_a_block_lasts_needs_no_block():
    day, short = waiting(5, estimate_s=24 * HOUR), waiting(5, estimate_s=23 * HOUR)
    assert fitting(site(), [day, short]) == (short,)
    assert blocks_needed(site(), [day], []) == 0
    assert fitting(site(walltime=""), [day]) == (day,)


@pytest.mark.parametrize(
    ("one", "nodes", "free"),
    [
        (block(state=BlockState.WAITING), Nodes(), 4),
        (block(state=BlockState.INTENDED), Nodes(), 4),
        (block(state=BlockState.UNKNOWN), Nodes(), 4),
        # Busy, two idle, and of the others nothing was heard for an hour: they have left.
        (block(), Nodes(heard=4, free=0), 0),
        (block(), Nodes(heard=2, free=1), 1),
        # It has just begun: the rest is coming.
        (block(started_at=NOW - 60), Nodes(heard=1, free=0), 3),
        (block(started_at=None), Nodes(), 4),
        (block(state=BlockState.LEAVING), Nodes(heard=4, free=4), 0),
        (block(drained_at=NOW - 1), Nodes(heard=4, free=4), 0),
        (block(state=BlockState.WAITING, drained_at=NOW - 1), Nodes(), 0),
        (block(cancelled_at=NOW - 1), Nodes(heard=4, free=4), 0),
        (block(state=BlockState.FAILED), Nodes(heard=4, free=4), 0),
    ],
)
def test_help_is_what_would_take_a_jobfile(one, nodes, free):
    assert help_of(one, nodes, NOW).nodes == free


GROUPS = st.lists(
    st.builds(
        waiting, st.integers(0, 500), st.sampled_from(["a", "b", "c"]),
        per_node=st.integers(0, 4), estimate_s=st.sampled_from([0.0, HOUR, 30 * HOUR]),
    ),
    max_size=5,
)  # fmt: skip
HELPS = st.lists(
    st.builds(
        helps, st.integers(0, 50), st.sets(st.sampled_from(["a", "b"])).map(tuple), st.integers(1, 8),
        st.sampled_from([None, 0.0, 10 * HOUR]),
    ),
    max_size=5,
)  # fmt: skip


@given(groups=GROUPS, helping=HELPS, more=HELPS)
def test_more_help_never_needs_more_blocks_and_none_is_needed_for_nothing(groups, helping, more):
    needed = blocks_needed(site(), groups, helping)
    assert 0 <= needed <= blocks_needed(site(), groups, [])
    assert blocks_needed(site(), [], helping) == 0
    # Each block has at least one jobfile to begin with.
    assert needed <= sum(group.count for group in groups)
    assert blocks_needed(site(), groups, [*helping, *more]) <= needed + 1
