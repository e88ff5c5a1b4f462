"""Launchers that act at once by old knowledge exceed no cap and unlearn nothing; and each bug planted here is found by that."""

import pytest
from block_machine import BlockMachine
from hypothesis.stateful import run_state_machine_as_test
from lease_server import LeaseServer
from planted_bug import Bug, hunting

BUGS = (
    Bug(name="the_cap_is_not_checked", verb="intend", right="if max_live and live >= max_live then", wrong="if false then"),
    Bug(name="the_cap_is_one_too_many", verb="intend", right="live >= max_live", wrong="live > max_live"),
    Bug(name="the_hour_is_not_checked", verb="intend", right="if per_hour and lately >= per_hour then", wrong="if false then"),
    Bug(name="old_knowledge_is_good_enough", verb="intend", right="if seen and live ~= seen then", wrong="if false then"),
    Bug(name="what_has_ended_counts_as_live", verb="intend", right="if (v[2] or '') == '' then", wrong="if true then"),
    Bug(
        name="a_repeated_intent_is_a_new_one",
        verb="intend",
        right="if redis.call('SISMEMBER', 'blocks', id) == 1 then",
        wrong="if false then",
    ),
    Bug(name="any_intent_of_that_id_is_a_repeated_one", verb="intend", right=" and before[2] == given.submitted_at", wrong=""),
    Bug(name="what_was_cancelled_is_submitted_after_all", verb="intend", right="before[1] == given.state and ", wrong=""),
    Bug(name="the_end_is_forgotten", verb="record_block", right="if known('ended_at') then", wrong="if false then"),
    Bug(name="a_late_job_id_is_lost", verb="record_block", right="redis.call('HSET', key, 'job_id', given.job_id)", wrong=""),
    Bug(
        name="an_old_record_is_written_as_it_is",
        verb="record_block",
        right="if given[name] == '' and known(name) then",
        wrong="if false then",
    ),
    Bug(name="an_end_is_dropped_with_an_old_record", verb="record_block", right="and (given.ended_at or '') == '' then", wrong="then"),
    Bug(
        name="a_drain_is_said_and_not_done",
        verb="drain",
        right="redis.call('HSET', key, 'drained_at', string.format('%.3f', NOW / 1000))",
        wrong="",
    ),
)


def run(server: LeaseServer, examples: int = 150) -> None:
    run_state_machine_as_test(lambda: BlockMachine(server), settings=hunting(30, examples))  # type: ignore[arg-type]


@pytest.mark.slow
def test_no_order_of_launchers_steps_exceeds_a_cap_or_unlearns_what_was_known(shared_lease_server: LeaseServer) -> None:
    run(shared_lease_server)


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_launchers_find(bug: Bug, shared_lease_server: LeaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.plant_in_scripts(monkeypatch)
    with pytest.raises((Exception, pytest.fail.Exception)):
        run(shared_lease_server, examples=1000)
