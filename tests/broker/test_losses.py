"""What a jobfile's losses count for, and where it waits after one (LEASES rules 20 to 22)."""

import json

import pytest
from verb_bench import DIRECTORY, SETTINGS, Bench

from broker.enqueue import Entry, job_id
from broker.lease import Held, Phase, Room

EMPTY = Room(free_share=1.0, slot_share=0.25)
PARTLY_USED = Room(free_share=0.75, slot_share=0.25)


def run_for(bench: Bench, name: str, worker: str, hours: float) -> None:
    """A jobfile runs for hours on a worker, renewed all the time."""
    claim = bench.claim(worker)
    assert claim.name == name
    for quarter in range(round(hours * 4) + 1):
        bench.leases.renew(worker, "{}", [Held(job_id=claim.job_id, token=claim.token, phase=Phase.RUNNING, age_s=0.0)])
        if quarter < round(hours * 4):
            for _ in range(4):
                bench.pass_s(225)
                bench.leases.renew(worker, "{}", [Held(job_id=claim.job_id, token=claim.token, phase=Phase.RUNNING, age_s=0.0)])


def lose_together(bench: Bench, *workers: str) -> None:
    for worker in workers:
        bench.claim(worker)
    bench.lose()


def test_the_same_node_counts_against_a_jobfile_once_however_often_it_loses_it(bench: Bench) -> None:
    bench.enqueue("a.sh")
    for _ in range(6):
        bench.claim("bad-node")
        bench.lose()
    assert bench.job("a.sh").losses == 1
    bench.claim("other-node")
    bench.lose()
    assert bench.job("a.sh").losses == 2


def test_nodes_that_are_lost_within_a_minute_of_each_other_count_against_nobody(bench: Bench) -> None:
    bench.enqueue("a.sh", "b.sh", "c.sh")
    lose_together(bench, "w1", "w2", "w3")
    assert [bench.job(n).losses for n in ("a.sh", "b.sh", "c.sh")] == [0, 0, 0]


def test_a_loss_is_taken_off_when_its_holder_comes_back(bench: Bench) -> None:
    bench.enqueue("a.sh")
    claim = bench.claim("w1")
    bench.lose()
    assert bench.job("a.sh").losses == 1
    assert bench.leases.take_back(claim.job_id, claim.token) is not None
    assert bench.job("a.sh").losses == 0
    bench.lose()
    assert bench.job("a.sh").losses == 1, "the same node may be counted again"


def test_a_suspect_waits_for_an_empty_node_and_then_gets_it_alone(bench: Bench) -> None:
    bench.enqueue("suspect.sh")
    for i in range(SETTINGS.max_losses - 1):
        bench.claim(f"w{i}")
        bench.lose()
    bench.enqueue("innocent.sh")
    assert bench.claim("w8", PARTLY_USED).name == "innocent.sh"
    assert bench.maybe_claim("w8", PARTLY_USED) is None
    claim = bench.claim("w9", EMPTY)
    assert (claim.name, claim.per_node) == ("suspect.sh", 1)


def test_a_suspect_that_ends_well_is_one_no_more_after_a_retry(bench: Bench) -> None:
    bench.enqueue("a.sh")
    for i in range(SETTINGS.max_losses - 1):
        bench.claim(f"w{i}")
        bench.lose()
    claim = bench.claim("w9", EMPTY)
    bench.leases.give_back(claim.job_id, claim.token, free=True, reason="drain", elapsed_s=1.0)
    assert bench.maybe_claim("w9", PARTLY_USED) is None, "it is a suspect still"
    bench.scripts.cancel([job_id(DIRECTORY, "a.sh")])
    bench.scripts.retry([job_id(DIRECTORY, "a.sh")])
    assert bench.claim("w9", PARTLY_USED).per_node == 0


@pytest.mark.parametrize(("hours", "waits_s"), [(2.0, 1800), (10.0, 3600)])
def test_what_was_lost_waits_a_while_for_its_node_as_long_as_anything_else_fits(bench: Bench, hours: float, waits_s: int) -> None:
    bench.enqueue(Entry(name="lost.sh", priority=9))
    run_for(bench, "lost.sh", "w1", hours)
    bench.lose()
    bench.enqueue(*[f"other{i}.sh" for i in range(3)])
    assert bench.claim("w2").name == "other0.sh"
    bench.pass_s(waits_s - 600)
    assert bench.claim("w3").name == "other1.sh"
    bench.pass_s(700)
    assert bench.claim("w4").name == "lost.sh", "its time is over, and it comes first"


def test_what_was_lost_is_started_at_once_when_nothing_else_fits(bench: Bench) -> None:
    bench.enqueue("lost.sh")
    run_for(bench, "lost.sh", "w1", 2.0)
    bench.lose()
    assert bench.claim("w2").name == "lost.sh"


def test_its_node_may_take_it_back_meanwhile(bench: Bench) -> None:
    bench.enqueue("lost.sh")
    claim = bench.claim("w1")
    bench.leases.renew("w1", "{}", [Held(job_id=claim.job_id, token=claim.token, phase=Phase.RUNNING, age_s=4000.0)])
    bench.lose()
    assert bench.leases.take_back(claim.job_id, claim.token) is not None
    assert bench.maybe_claim("w2") is None


def test_many_nodes_that_fall_silent_at_once_are_given_one_more_lease(bench: Bench) -> None:
    names = [f"{i}.sh" for i in range(8)]
    bench.enqueue(*names)
    for i in range(8):
        bench.leases.renew(f"w{i}", "{}", [])
        bench.claim(f"w{i}")
    bench.pass_s(SETTINGS.lease_s + 1)
    assert bench.scripts.reap() == []
    assert bench.client.hget("beat", "hold_since") is not None
    bench.pass_s(SETTINGS.lease_s)
    assert len(bench.scripts.reap()) == 8
    bench.scripts.reap()
    assert bench.client.hget("beat", "hold_since") is None


def test_four_nodes_or_less_than_a_quarter_are_not_held(bench: Bench) -> None:
    bench.enqueue(*[f"{i}.sh" for i in range(5)])
    for i in range(24):
        bench.leases.renew(f"idle{i}", "{}", [])
    for i in range(5):
        bench.claim(f"w{i}")
    bench.pass_s(SETTINGS.lease_s + 1)
    assert len(bench.scripts.reap()) == 5, "5 of 24"


def test_workers_that_said_nothing_for_a_day_are_forgotten(bench: Bench) -> None:
    numbers = dict.fromkeys(("pid", "guard_pid", "slots", "running", "frozen"), 1)
    bench.leases.renew("dead", json.dumps({"node": "n", "block": "b", "site": "local", "state": "running", **numbers}), [])
    # The ledger goes by the server's own clock, far ahead of the test's.
    assert bench.ledger.drop_silent_workers(86400.0) == 1
    assert bench.ledger.workers() == []
