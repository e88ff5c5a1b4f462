"""What becomes of a claim that is handed back, lost or taken back; beats; a server in trouble: one fact each (LEASES rules 2-8, 19)."""

from typing import Any

import pytest
from verb_bench import EVERYTHING, SETTINGS, Bench

from broker.errors import QueueFull, Stale, Unreachable
from broker.lease import Holder, Phase, Word
from broker.records import State

# -- give_back and take_back ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("free", "deliveries", "losses"), [(True, 0, 0), (False, 1, 1)])
def test_a_hand_back_counts_once_and_goes_to_the_head_if_asked_for(bench: Bench, free: bool, deliveries: int, losses: int) -> None:
    bench.enqueue("a.sh", "b.sh")
    claim = bench.claim()
    assert bench.give_back(claim, free=free)
    assert bench.give_back(claim, free=free)
    job = bench.job("a.sh")
    assert (job.deliveries, job.losses, job.latest.ending) == (deliveries, losses, "handed_back")
    assert bench.claim().name == ("a.sh" if free else "b.sh")


def test_a_hand_back_of_what_never_started_uses_no_attempt(bench: Bench) -> None:
    bench.enqueue("a.sh")
    bench.give_back(bench.claim(), elapsed_s=None)
    assert bench.claim().attempt == 1


def test_a_stranger_cannot_hand_back(bench: Bench) -> None:
    bench.enqueue("a.sh")
    old = bench.claim("w1")
    bench.lose()
    bench.claim("w2")
    assert not bench.give_back(old)
    assert bench.state("a.sh") == "running"


def test_a_hand_back_of_what_its_user_cancelled_is_cancelled(bench: Bench) -> None:
    bench.enqueue("a.sh")
    claim = bench.claim()
    bench.scripts.cancel([claim.job_id])
    bench.give_back(claim)
    assert bench.state("a.sh") == "cancelled"


def test_what_nobody_has_started_since_is_taken_back_with_the_same_attempt(bench: Bench) -> None:
    bench.enqueue("a.sh")
    claim = bench.claim(token="t")
    bench.renew(claim, phase=Phase.RUNNING)
    bench.lose()
    assert bench.take_back(claim) == bench.take_back(claim) == SETTINGS.lease_s - SETTINGS.margin_s
    job = bench.job("a.sh")
    assert (job.state, job.losses, job.deliveries, job.latest.number, job.latest.ending) == (State.RUNNING, 0, 1, 1, None)
    assert bench.maybe_claim("w2") is None


def test_what_somebody_has_started_since_is_not_taken_back(bench: Bench) -> None:
    bench.enqueue("a.sh")
    old = bench.claim("w1")
    bench.lose()
    new = bench.claim("w2")
    bench.give_back(new)
    assert bench.take_back(old) is None
    assert bench.take_back(new) is None


# -- reap and beat --------------------------------------------------------------------------------------------------------------------


def test_a_lease_is_reaped_only_when_it_has_run_out_and_the_jobfile_waits_at_the_head(bench: Bench) -> None:
    bench.enqueue("a.sh", "b.sh")
    bench.claim("w7")
    bench.pass_s(SETTINGS.lease_s)
    assert bench.scripts.reap() == []
    bench.pass_s(0.001)
    assert [(r.worker, r.node) for r in bench.scripts.reap()] == [("w7", "node-of-w7")]
    assert bench.claim().name == "a.sh"


def test_nodes_whose_names_end_alike_are_two_nodes(bench: Bench) -> None:
    bench.enqueue("a.sh")
    for node in ("nc101", "c101"):
        assert bench.leases.claim(node, Holder(worker="w", node=node, block="b1"), EVERYTHING)
        bench.lose()
    assert bench.job("a.sh").losses == 2


def test_a_reap_takes_at_most_a_hundred(bench: Bench) -> None:
    bench.enqueue(*[f"{i}.sh" for i in range(105)])
    for _ in range(105):
        bench.claim()
    bench.pass_s(SETTINGS.lease_s + 1)
    assert [len(bench.scripts.reap(limit=1000)) for _ in range(3)] == [100, 5, 0]


def test_a_reaped_jobfile_that_its_user_cancelled_is_cancelled(bench: Bench) -> None:
    bench.enqueue("a.sh")
    claim = bench.claim()
    bench.scripts.cancel([claim.job_id])
    bench.lose()
    assert bench.state("a.sh") == "cancelled"
    assert bench.take_back(claim) is None


def test_a_first_beat_and_one_after_a_pause_a_restart_or_a_clock_step_give_a_grace(bench: Bench) -> None:
    grace_ms = (SETTINGS.lease_s + SETTINGS.margin_s) * 1000
    bench.now_ms += 60_000
    assert not bench.beat().gap
    bench.now_ms += 60_001
    for made in (bench.beat(), bench.beat("another run"), bench.beat("another run", drift=True)):
        assert (made.gap, made.grace_until_ms) == (True, bench.now_ms + grace_ms)
    bench.now_ms -= 10_000
    assert bench.beat("another run").gap


def test_within_the_grace_nothing_is_reaped(bench: Bench) -> None:
    bench.enqueue("a.sh")
    bench.claim()
    bench.now_ms += 1_000_000
    bench.beat()
    assert bench.scripts.reap() == []
    bench.pass_s(SETTINGS.lease_s + SETTINGS.margin_s)
    assert len(bench.scripts.reap()) == 1


def test_a_lease_does_not_outlive_a_clock_that_jumped_back(bench: Bench) -> None:
    bench.enqueue("a.sh")
    claim = bench.claim()
    bench.now_ms -= 1_000_000
    bench.beat()
    assert bench.client.zscore("leases", claim.job_id) == bench.now_ms + SETTINGS.lease_s * 1000


def test_a_supervisor_of_an_older_epoch_is_refused(bench: Bench) -> None:
    bench.beat(epoch=2)
    with pytest.raises(Unreachable, match="OLDEPOCH"):
        bench.beat(epoch=1)


@pytest.mark.parametrize("late_ms", [60_000, -1])
def test_every_verb_is_refused_without_a_fresh_beat(bench: Bench, late_ms: int) -> None:
    bench.enqueue("a.sh", "b.sh")
    claim = bench.claim()
    bench.now_ms += late_ms
    before = bench.server.dump()
    verbs: list[Any] = [
        lambda: bench.claim_word(), lambda: bench.renew(claim), lambda: bench.settle(claim), lambda: bench.give_back(claim),
        lambda: bench.take_back(claim), bench.scripts.reap, lambda: bench.scripts.cancel([claim.job_id]),
        lambda: bench.scripts.retry([claim.job_id]), lambda: bench.scripts.relane([(claim.job_id, "1.0.0.1")]),
        lambda: bench.scripts.pause("1", "x"), lambda: bench.scripts.forget("c"), lambda: bench.scripts.leave("w1"),
        lambda: bench.scripts.campaign("d", {}), lambda: bench.enqueue("c.sh"),
    ]  # fmt: skip
    for verb in verbs:
        with pytest.raises(Stale):
            verb()
    assert bench.server.dump() == before


# -- the server's own troubles ----------------------------------------------------------------------------------------------------------


def test_at_the_memory_limit_enqueue_is_refused_and_what_runs_goes_on(bench: Bench) -> None:
    bench.enqueue("a.sh", "b.sh", "c.sh", "d.sh")
    claim = bench.claim()
    bench.client.config_set("maxmemory", 1)
    try:
        with pytest.raises(QueueFull, match="nothing of this batch"):
            bench.enqueue("new.sh")
        assert bench.ledger.job_at("/scratch/jobfiles/2m", "new.sh") is None
        assert bench.renew(claim) == (Word.RENEWED,)
        assert bench.settle(claim).accepted
        assert bench.give_back(bench.claim())
        lost = bench.claim()
        assert [r.job_id for r in bench.lose()] == [lost.job_id]
        assert bench.take_back(lost)
    finally:
        bench.client.config_set("maxmemory", 0)
    assert bench.enqueue("new.sh") == ["enqueued"]


def test_a_server_that_has_forgotten_its_scripts_is_given_them_again(bench: Bench) -> None:
    bench.enqueue("a.sh")
    bench.client.script_flush()
    assert bench.claim().name == "a.sh"


def test_an_error_of_the_server_means_unreachable(bench: Bench) -> None:
    bench.client.set("leases", "not a zset")
    bench.enqueue("a.sh")
    with pytest.raises(Unreachable, match="WRONGTYPE"):
        bench.maybe_claim(room=EVERYTHING)
