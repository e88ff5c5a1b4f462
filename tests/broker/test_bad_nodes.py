"""Which node is called bad, and what becomes of what had failed there (docs/leases.md, "Bad nodes")."""

from node_steps import bad, end_on, fail_on, failures, names, outlive, refusal
from verb_bench import Bench

from broker.lease import Held, Phase
from broker.records import BadNode

# -- the verdict ----------------------------------------------------------------------------------------------------------------------


def test_a_node_on_which_three_jobfiles_fail_at_once_while_others_do_well_elsewhere_is_bad(bench: Bench) -> None:
    bench.enqueue(*names(20))
    end_on(bench, "good", 3)
    fail_on(bench, "broken", 2)
    assert bad(bench) == []
    fail_on(bench, "broken", 1)
    why = "jobfiles that do well elsewhere fail here at once: exit 1"
    assert bench.ledger.bad_nodes() == [BadNode(node="node-of-broken", block="b1", since=bench.now_ms / 1000, reason=why)]
    event = bench.events("node_bad")[0]
    assert (event["node"], event["block"], event["reason"], event["taken_off"]) == ("node-of-broken", "b1", "exit 1", "3")


def test_a_bad_node_is_given_nothing_more_and_is_told_why(bench: Bench) -> None:
    bench.enqueue(*names(20))
    end_on(bench, "good", 3)
    held = bench.claim("broken")
    fail_on(bench, "broken", 3)
    assert refusal(bench, "broken") == "bad"
    assert bench.maybe_claim("broken") is None
    renewal = bench.leases.renew("broken", "{}", [Held(job_id=held.job_id, token=held.token, phase=Phase.RUNNING)],
                                 node="node-of-broken", block="b1")  # fmt: skip
    assert renewal.told == ("bad", "jobfiles that do well elsewhere fail here at once: exit 1")
    assert [w.value for w in renewal.words] == ["renewed"], "what runs there goes on"
    assert bench.leases.renew("good", "{}", [], node="node-of-good", block="b1").told is None
    assert refusal(bench, "good") == "claimed"


def test_a_claim_whose_answer_was_lost_is_answered_also_by_a_node_that_is_bad_since(bench: Bench) -> None:
    bench.enqueue(*names(20))
    end_on(bench, "good", 3)
    claim = bench.claim("broken", token="t")
    fail_on(bench, "broken", 3)
    assert bench.claim("broken", token="t").job_id == claim.job_id


def test_what_failed_on_a_bad_node_does_not_count_and_waits_first_in_line(bench: Bench) -> None:
    bench.campaign("c", retries="0")
    bench.enqueue(*names(20))
    end_on(bench, "good", 3)
    unlucky = fail_on(bench, "broken", 3)
    assert failures(bench, unlucky) == [0, 0, 0]
    assert [bench.state(n) for n in unlucky] == ["queued"] * 3
    assert sorted(end_on(bench, "good", 3)) == unlucky


def test_what_fails_for_good_is_given_another_chance_if_the_node_was_bad(bench: Bench) -> None:
    bench.enqueue(*names(20))
    end_on(bench, "good", 3)
    gone = fail_on(bench, "broken", 3, "jobfile gone", retry=False)
    assert [bench.state(n) for n in gone] == ["queued"] * 3
    found = bench.ledger.campaign("c")
    assert found is not None
    assert sum(found.counts.values()) == found.total == 20
    assert list(bench.ledger.jobs(state=bench.job(gone[0]).state.FAILED)) == []


def test_what_could_not_be_started_at_all_failed_quickly(bench: Bench) -> None:
    bench.enqueue(*names(20))
    end_on(bench, "good", 3)
    for _ in range(3):
        bench.settle(bench.claim("broken"), "failed", "cannot start: chdir", counts_as_failure=True, retry=True, elapsed_s=None)
    assert bad(bench) == ["broken"]


def test_what_still_ran_on_a_node_when_it_was_called_bad_does_not_count_either(bench: Bench) -> None:
    bench.campaign("c", retries="0")
    bench.enqueue(*names(20))
    end_on(bench, "good", 3)
    running = [bench.claim("broken") for _ in range(2)]
    fail_on(bench, "broken", 3)
    assert bench.fail(running[0], "exit 1").state == "queued"
    assert bench.settle(running[1], "failed", "exit 1", counts_as_failure=True, retry=True, elapsed_s=90.0).state == "failed"
    assert failures(bench, [c.name for c in running]) == [0, 1], "what ran for longer than a minute is its own"


def test_a_campaigns_row_of_failures_is_without_those_of_a_bad_node(bench: Bench) -> None:
    bench.campaign("c", max_fails="4", retries="0")
    bench.enqueue(*names(40))
    end_on(bench, "good", 1)
    fail_on(bench, "other", 1, "exit 2")
    fail_on(bench, "broken", 2)
    end_on(bench, "good", 2)
    fail_on(bench, "broken", 1)
    assert bad(bench) == ["broken"]
    assert bench.client.llen(f"streak:{bench.campaign()}") == 0
    fail_on(bench, "other", 2, "exit 2")
    assert bench.paused() is None, "three of four"
    fail_on(bench, "other", 1, "exit 2")
    assert bench.paused() == "4 jobfiles failed (max_fails)"


# -- evidence that comes later ----------------------------------------------------------------------------------------------------------


def test_the_first_node_of_a_campaign_is_judged_when_others_have_done_well(bench: Bench) -> None:
    bench.enqueue(*names(20))
    unlucky = fail_on(bench, "broken", 4)
    end_on(bench, "good", 2)
    assert bad(bench) == []
    end_on(bench, "good", 1)
    assert bad(bench) == ["broken"]
    assert failures(bench, unlucky) == [0] * 4


def test_running_on_for_a_minute_is_doing_well(bench: Bench) -> None:
    bench.enqueue(*names(20))
    held = [bench.claim(f"good{i}") for i in range(3)]
    fail_on(bench, "broken", 3)
    for i, claim in enumerate(held):
        outlive(bench, claim, f"good{i}", 59.0)
    assert bad(bench) == []
    for i, claim in enumerate(held):
        outlive(bench, claim, f"good{i}")
    assert bad(bench) == ["broken"]


def test_a_campaign_that_a_bad_node_has_paused_goes_on_when_the_node_is_known(bench: Bench) -> None:
    bench.enqueue(*names(20))
    held = [bench.claim("good") for _ in range(3)]
    fail_on(bench, "broken", 5)
    assert bench.paused() == "5 jobfiles in a row failed: exit 1"
    for claim in held:
        bench.settle(claim)
    assert (bad(bench), bench.paused()) == (["broken"], None)
    assert len(bench.events("resumed")) == 1


def test_a_pause_for_one_node_gives_the_others_a_few_jobfiles_to_show_whose_fault_it_is(bench: Bench) -> None:
    bench.enqueue(*names(20))
    fail_on(bench, "broken", 5)
    assert bench.paused() is not None
    assert refusal(bench, "broken") == "unfit"
    probes = [bench.claim(f"good{i}") for i in range(5)]
    assert refusal(bench, "good6") == "empty", "five are enough"
    for claim in probes[:3]:
        bench.settle(claim)
    assert (bad(bench), bench.paused()) == (["broken"], None)


def test_a_failure_on_a_second_node_makes_the_pause_everybodys(bench: Bench) -> None:
    bench.enqueue(*names(20))
    fail_on(bench, "w1", 5)
    fail_on(bench, "w2", 1)
    assert refusal(bench, "w3") == "empty"
    assert (bad(bench), bench.paused()) == ([], "5 jobfiles in a row failed: exit 1")


def test_a_persons_pause_is_not_lifted_and_not_probed(bench: Bench) -> None:
    bench.enqueue(*names(20))
    held = [bench.claim("good") for _ in range(3)]
    fail_on(bench, "broken", 5)
    bench.scripts.pause(bench.campaign(), "a look at the logs")
    assert refusal(bench, "good") == "empty"
    for claim in held:
        bench.settle(claim)
    assert bad(bench) == ["broken"]
    assert bench.paused() is not None


def test_a_resume_forgets_the_row_and_whom_the_pause_was_for(bench: Bench) -> None:
    bench.enqueue(*names(30))
    fail_on(bench, "w1", 5)
    bench.scripts.pause(bench.campaign(), "")
    fail_on(bench, "w1", 4)
    assert bench.paused() is None
    fail_on(bench, "w2", 1)
    assert refusal(bench, "w3") == "empty", "two nodes failed"

# -- a person's word --------------------------------------------------------------------------------------------------------------------


def test_a_person_forgives_a_node_and_it_is_judged_anew(bench: Bench) -> None:
    bench.enqueue(*names(30))
    end_on(bench, "good", 3)
    fail_on(bench, "broken", 3)
    assert bench.ledger.forgive_node("node-of-broken", "b9") == 0
    assert bench.ledger.forgive_node("node-of-broken") == 1
    assert (bad(bench), refusal(bench, "broken")) == ([], "claimed")
    assert bench.events("node_forgiven")[0]["reason"] == "by a person"
    bench.enqueue(*names(10, 100))
    fresh = [bench.claim("broken") for _ in range(9)]
    for claim in [c for c in fresh if c.attempt == 1][:3]:
        bench.fail(claim)
    assert bad(bench) == ["broken"]


def test_a_retry_by_a_person_begins_with_a_clean_sheet(bench: Bench) -> None:
    bench.campaign("c", retries="0")
    bench.enqueue(*names(20))
    unlucky = fail_on(bench, "broken", 3)
    bench.scripts.retry([bench.id(n) for n in unlucky])
    again = [bench.claim("good") for _ in range(20)]
    for claim in again:
        bench.settle(claim) if claim.name not in unlucky else bench.fail(claim)
    assert bad(bench) == ["broken"]
    assert failures(bench, unlucky) == [1, 1, 1], "only what failed there is taken off"


def test_bad_nodes_are_listed_for_a_week(bench: Bench) -> None:
    bench.enqueue(*names(40))
    end_on(bench, "good", 3)
    fail_on(bench, "broken1", 3)
    bench.now_ms += 8 * 86400 * 1000
    bench.beat()
    bench.pass_s(400)
    end_on(bench, "good", 3)
    fail_on(bench, "broken2", 3)
    assert bad(bench) == ["broken2"]


def test_nothing_of_this_is_left_of_a_forgotten_campaign(bench: Bench) -> None:
    bench.enqueue(*names(6))
    end_on(bench, "good", 3)
    fail_on(bench, "w1", 3, retry=False)
    end_on(bench, "good", 3)
    bench.scripts.forget("c")
    left = [k for k in bench.server.dump() if k.startswith(("streak:", "well:", "failing:", "own:", "job:"))]
    assert left == []
