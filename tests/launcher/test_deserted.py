"""When a block that Slurm says runs is nobody's any more."""

import pytest
from site_blocks import NOW, block

from launcher.block import BlockState
from launcher.deserted import DESERTED_S, is_deserted

LONG = NOW - DESERTED_S


@pytest.mark.parametrize(
    ("one", "facts", "expected"),
    [
        (block(), {}, True),
        (block(state=BlockState.LEAVING), {}, False),
        (block(state=BlockState.UNKNOWN), {}, False),
        # One of its nodes is in contact, or was a short while ago.
        (block(), {"quiet_since": None}, False),
        (block(), {"quiet_since": LONG + 1}, False),
        # None of its nodes has said goodbye: the whole block is cut off, and may come back.
        (block(), {"listed": 4}, False),
        # Nobody could have heard them.
        (block(), {"steady_since": LONG + 1}, False),
    ],
)
def test_a_block_is_deserted_when_nodes_have_left_and_the_others_are_silent_for_long(one, facts, expected):
    assert is_deserted(one, **{"listed": 1, "quiet_since": LONG, "steady_since": 0.0, "now": NOW, **facts}) is expected
