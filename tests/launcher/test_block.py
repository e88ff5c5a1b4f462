"""Block records: they come back as they went, and what nobody said is never taken for an end."""

import pytest

from launcher.block import MOVES, Block, BlockState, may_move
from launcher.process import Process


def test_a_block_comes_back_from_its_fields_as_it_was():
    block = Block(
        block_id="b1",
        site="local",
        provider="local",
        state=BlockState.RUNNING,
        job_id="77",
        campaigns=("região-2m", "b"),
        slots=4,
        submitted_at=1.5,
        ends_at=9.25,
        reason="x",
        process=Process(host="h", boot="b", pid=77, started=12),
    )
    assert Block.from_fields("b1", block.to_fields()) == block
    assert all(isinstance(value, str) for value in block.to_fields().values())


def test_fields_of_others_and_missing_ones_are_passed_over():
    block = Block.from_fields("b1", {"nodes_up": "3", "state": "running"})
    assert (block.state, block.job_id, block.ends_at, block.process) == (BlockState.RUNNING, "", None, None)


def test_a_state_that_we_do_not_know_is_unknown_and_not_over():
    assert BlockState.parse("completed") is BlockState.UNKNOWN
    assert BlockState.parse("") is BlockState.UNKNOWN
    assert not BlockState.UNKNOWN.is_over


def test_every_state_has_a_sentence_and_its_moves():
    assert set(MOVES) == set(BlockState)
    assert all(state.sentence.endswith(".") for state in BlockState)
    assert {state for state in BlockState if state.is_over} == {state for state, after in MOVES.items() if not after}


def test_what_is_over_stays_so_and_every_live_state_can_end():
    live = [state for state in BlockState if not state.is_over]
    assert not any(may_move(BlockState.FAILED, state) for state in live)
    assert all(may_move(state, BlockState.FAILED) for state in live)
    assert not any(may_move(state, BlockState.INTENDED) for state in live if state is not BlockState.INTENDED)


@pytest.mark.parametrize("bad", ["", "a b", "../x", "-f", "a.b", "x" * 64])
def test_a_block_id_that_is_no_word_is_refused(bad):
    with pytest.raises(ValueError, match="use up to 63 letters"):
        Block(block_id=bad, site="local", provider="local")
