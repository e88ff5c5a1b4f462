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
        partition="normal",
        started_at=2.5,
        walltime_s=3600.0,
        su_per_node_hour=1.5,
        least_charged_s=900.0,
        seen_at=4.0,
        missing_since=5.0,
        drained_at=6.0,
        parsl_config="/x.py",
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


def _charged(**changes: object) -> Block:
    values = {"walltime_s": 7200.0, "su_per_node_hour": 1.5, "least_charged_s": 900.0, "nodes": 4, "started_at": 1000.0} | changes
    return Block(block_id="b1", site="s", provider="slurm", **values)


def test_a_block_costs_nodes_times_hours_times_the_rate():
    assert _charged().su_max == 4 * 2 * 1.5
    assert _charged().su(now=1000.0 + 3600) == 4 * 1.5
    assert _charged(ended_at=2800.0).su(now=99_999.0) == 4 * 0.5 * 1.5


def test_a_block_that_has_not_started_costs_nothing_and_a_short_one_the_least():
    assert _charged(started_at=None).su(now=99_999.0) == 0
    assert _charged(ended_at=1001.0).su(now=99_999.0) == 4 * 0.25 * 1.5
    assert _charged(walltime_s=60.0).su_max == 4 * 0.25 * 1.5


def test_a_block_that_nobody_looks_at_costs_nothing_after_its_end():
    assert _charged(ends_at=8200.0).su(now=99_999.0) == 4 * 2 * 1.5


def test_without_a_walltime_nobody_can_say_what_a_block_may_cost():
    assert _charged(walltime_s=None).su_max is None
    assert _charged(walltime_s=None, su_per_node_hour=0.0).su_max == 0
