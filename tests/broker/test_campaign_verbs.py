"""When a campaign pauses, and how it is changed and forgotten: one fact each (broker/lua/*.lua; LEASES rule 25)."""

import pytest
from verb_bench import Bench

from broker.errors import BrokerError

# -- pause ----------------------------------------------------------------------------------------------------------------------------


def test_a_paused_campaign_is_not_claimed_and_what_runs_of_it_goes_on(bench: Bench) -> None:
    bench.enqueue("a.sh", "b.sh", "c.sh")
    first, second = bench.claim(), bench.claim()
    number = bench.campaign()
    assert bench.scripts.pause(number, "a look")
    assert not bench.scripts.pause(number, "another reason")
    assert bench.paused() == "a look"
    assert bench.claim_word() == "empty"
    assert bench.renew(first)[0].value == "renewed"
    bench.settle(first)
    bench.lose()
    assert bench.take_back(second) is not None
    assert bench.scripts.pause(number, "")
    assert not bench.scripts.pause(number, "")
    assert bench.claim().name == "c.sh"


def test_a_resumed_campaign_rings_for_the_workers_that_wait(bench: Bench) -> None:
    bench.enqueue("a.sh")
    number = bench.campaign()
    bench.scripts.pause(number, "a look")
    bench.client.delete("bell")
    bench.scripts.pause(number, "")
    assert bench.client.llen("bell") > 0


def fail_in_turn(bench: Bench, reasons: list[str], already: int = 0) -> list[bool]:
    """One jobfile after the other fails for these reasons ('' is done); whether the campaign was paused after each."""
    bench.enqueue(*[f"{already + i}.sh" for i in range(len(reasons))])
    claims = [bench.claim() for _ in reasons]
    paused = []
    for claim, reason in zip(claims, reasons, strict=True):
        if reason:
            bench.fail(claim, reason, retry=False)
        else:
            bench.settle(claim)
        paused.append(bench.paused() is not None)
    return paused


def test_a_campaign_whose_first_five_ends_fail_for_the_same_reason_is_paused(bench: Bench) -> None:
    assert fail_in_turn(bench, ["exit 1"] * 5) == [False] * 4 + [True]
    assert bench.paused() == "5 jobfiles in a row failed: exit 1"
    assert bench.events("paused")[0]["reason"] == bench.paused()


@pytest.mark.parametrize("other", ["", "exit 2"])
def test_a_campaign_with_another_end_among_its_first_is_paused_after_twenty_in_a_row(bench: Bench, other: str) -> None:
    assert fail_in_turn(bench, ["exit 1", other] + ["exit 1"] * 20) == [False] * 21 + [True]


def test_a_success_in_between_ends_the_row(bench: Bench) -> None:
    assert True not in fail_in_turn(bench, [""] + ["exit 1"] * 19 + [""] + ["exit 1"] * 19)


def test_the_retries_of_one_jobfile_are_not_a_row(bench: Bench) -> None:
    bench.campaign("c", retries="30")
    bench.enqueue("a.sh")
    for _ in range(25):
        bench.fail(bench.claim())
    assert bench.paused() is None


def test_hand_backs_losses_and_uncounted_failures_are_not_a_row(bench: Bench) -> None:
    bench.enqueue(*[f"{i}.sh" for i in range(6)])
    for _ in range(6):
        bench.settle(bench.claim(), "failed", "node", counts_as_failure=False)
    assert bench.paused() is None


def test_max_fails_pauses_a_campaign_and_a_resume_counts_anew(bench: Bench) -> None:
    bench.campaign("c", max_fails="2")
    assert fail_in_turn(bench, ["", "exit 1", "exit 2"]) == [False, False, True]
    assert bench.paused() == "2 jobfiles failed (max_fails)"
    bench.scripts.pause(bench.campaign(), "")
    assert fail_in_turn(bench, ["exit 3", "exit 4"], already=3) == [False, True]


# -- campaigns and forget -------------------------------------------------------------------------------------------------------------


def test_a_campaigns_options_are_changed_and_removed_by_name(bench: Bench) -> None:
    number, new = bench.scripts.campaign("c", {"retries": "1", "done": "fin-file"})
    assert new
    assert bench.scripts.campaign("c", {"retries": "2", "done": ""}) == (number, False)
    found = bench.ledger.campaign("c")
    assert found is not None
    assert (found.options["retries"], "done" in found.options) == ("2", False)


def test_an_unended_campaign_is_not_forgotten(bench: Bench) -> None:
    bench.enqueue("a.sh")
    with pytest.raises(BrokerError, match="has not ended"):
        bench.scripts.forget("c")
    bench.claim()
    with pytest.raises(BrokerError, match="has not ended"):
        bench.scripts.forget("c")
    assert bench.state("a.sh") == "running"


def test_a_forgotten_campaign_leaves_no_record(bench: Bench) -> None:
    names = [f"{i}.sh" for i in range(150)]
    bench.enqueue(*names)
    bench.scripts.cancel([bench.id(n) for n in names])
    bench.scripts.forget("c")
    left = [k for k in bench.server.dump() if k.startswith(("job:", "campaign:", "counts:", "ended:"))]
    assert (left, bench.ledger.campaigns()) == ([], [])
    assert bench.campaign() == "2", "a number is never given out again"


def test_forgetting_a_campaign_leaves_what_went_over_to_another(bench: Bench) -> None:
    bench.end("a.sh", "failed", campaign="one")
    bench.enqueue("a.sh", campaign="two", again=True)
    bench.scripts.forget("one")
    assert bench.job("a.sh").campaign == "two"


def test_a_half_forgotten_campaign_counts_what_is_left(bench: Bench) -> None:
    bench.enqueue("a.sh", "b.sh", "c.sh")
    bench.scripts.cancel([bench.id(n) for n in ("a.sh", "b.sh", "c.sh")])
    assert bench.scripts._call("forget", "c", 2) == 1
    found = bench.ledger.campaign("c")
    assert found is not None
    assert found.total == len(list(bench.ledger.jobs("c"))) == 1


def test_a_broker_whose_jobfiles_were_all_cancelled_is_idle(bench: Bench) -> None:
    bench.enqueue("a.sh")
    assert not bench.ledger.is_idle()
    bench.scripts.cancel([bench.id("a.sh")])
    assert bench.ledger.is_idle()
