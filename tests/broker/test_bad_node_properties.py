"""Nodes are judged, excused and forgiven, and blocks drained, as docs/leases.md says; each bug planted here is found by that."""

import pytest
from hypothesis.stateful import run_state_machine_as_test
from lease_server import LeaseServer
from node_machine import STORIES, NodeMachine
from planted_bug import Bug, hunting

BUGS = (
    Bug(
        name="a_drained_block_claims",
        verb="prelude",
        right="(v[1] or '') ~= '' or (v[2] or '') ~= ''",
        wrong="(v[2] or '') ~= ''",
    ),
    Bug(name="a_bad_node_claims", verb="prelude", right="if bad then return", wrong="if false then return"),
    Bug(
        name="a_refused_node_loses_the_answer_to_its_claim",
        verb="claim",
        right="\nif held then",
        wrong="\nif held and refusal_of(ARGV[4], ARGV[5]) == '' then",
    ),
    Bug(name="a_bad_nodes_failures_count", verb="evidence", right="redis.call('HINCRBY', key, 'failures', -n)", wrong=""),
    Bug(
        name="what_ends_late_on_a_bad_node_counts",
        verb="settle",
        right="elseif counts and quick and is_bad(place) then",
        wrong="elseif false then",
    ),
    Bug(name="what_failed_for_good_on_a_bad_node_stays_failed", verb="evidence", right="if was_final then\n", wrong="if false then\n"),
    Bug(name="the_row_keeps_a_bad_nodes_failures", verb="streak", right="redis.call('LREM', row, 0, id .. ' ' .. node)", wrong=""),
    Bug(name="a_bad_nodes_pause_stays", verb="evidence", right="for of in pairs(campaigns) do resume_if_no_longer_due(of) end", wrong=""),
    Bug(name="a_suspect_gets_the_probes", verb="claim", right="(not v[2] or v[2] == node)", wrong="not v[2]"),
    Bug(name="probes_have_no_end", verb="claim", right="'probes', -1) <= 0 then", wrong="'probes', -1) <= -99 then"),
    Bug(name="a_failure_elsewhere_leaves_the_pause_to_one_node", verb="settle", right="    spread_pause(campaign, node)\n", wrong=""),
    Bug(
        name="two_failures_are_enough",
        verb="evidence",
        right="local ROW, ENDS_ELSEWHERE, OWN, AT_MOST = 3, 3,",
        wrong="local ROW, ENDS_ELSEWHERE, OWN, AT_MOST = 2, 3,",
    ),
    Bug(name="two_ends_elsewhere_are_enough", verb="evidence", right="OWN, AT_MOST = 3, 3,", wrong="OWN, AT_MOST = 3, 2,"),
    Bug(name="a_node_is_compared_with_itself", verb="evidence", right="if where ~= node then", wrong="if true then"),
    Bug(name="as_many_failing_nodes_do_not_matter", verb="evidence", right=" and count(well) > count(failing)", wrong=""),
    Bug(
        name="what_fails_everywhere_is_held_against_nodes",
        verb="evidence",
        right="if without(before, mark) == '' then",
        wrong="if true then",
    ),
    Bug(name="what_fails_everywhere_was_held_against_the_first_node", verb="evidence", right="    withdraw(id, before)\n", wrong=""),
    Bug(
        name="a_node_stays_bad_though_others_fail_so_too",
        verb="evidence",
        right="if not is_own(campaign, reason) then return end",
        wrong="if true then return end",
    ),
    Bug(
        name="a_success_clears_no_node",
        verb="evidence",
        right="    redis.call('DEL', key)\n",
        wrong="",
    ),
    Bug(name="evidence_that_comes_later_is_not_heard", verb="evidence", right="    judge(place, campaign, reason, max_losses)\n", wrong=""),
    Bug(name="a_verdict_leaves_the_row", verb="evidence", right="  redis.call('DEL', 'place:' .. place)\n", wrong=""),
    Bug(
        name="what_did_well_long_ago_is_evidence",
        verb="evidence",
        right="lately('well:' .. campaign)",
        wrong="redis.call('ZRANGE', 'well:' .. campaign, 0, -1)",
    ),
    Bug(name="what_runs_for_hours_is_no_evidence", verb="renew", right="NOW - tonumber(said_at) < 600000", wrong="true"),
    Bug(name="running_on_is_not_doing_well", verb="renew", right="age_ms >= B.quick_ms", wrong="false"),
    Bug(
        name="what_failed_slowly_was_the_nodes",
        verb="settle",
        right="local quick = not started or tonumber(ARGV[8]) < B.quick_ms",
        wrong="local quick = true",
    ),
    Bug(name="what_was_found_done_is_doing_well", verb="settle", right="if verdict == 'done' and started then", wrong="if true then"),
    Bug(name="a_persons_retry_keeps_the_marks", verb="retry", right="'quick_on', 'taken_off', 'worn_out'", wrong="'worn_out'"),
)


@pytest.mark.slow
def test_nodes_are_judged_by_the_rules_whatever_happens(shared_lease_server: LeaseServer) -> None:
    run_state_machine_as_test(lambda: NodeMachine(shared_lease_server), settings=hunting(10))  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("story", STORIES)
def test_nodes_are_judged_by_the_rules_in_each_story(story: str, shared_lease_server: LeaseServer) -> None:
    NodeMachine(shared_lease_server).tell(story)


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_stories_find(bug: Bug, shared_lease_server: LeaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.plant_in_scripts(monkeypatch)
    with pytest.raises((Exception, pytest.fail.Exception)):
        NodeMachine(shared_lease_server).tell_all()
