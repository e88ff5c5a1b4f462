"""The renewer on a real server, turn by turn: no test waits for its thread."""

import json
import time
from collections.abc import Sequence

import pytest
import redis
import servers
from renewer_bench import Bench

from broker.holding import Asker, HandBack, boottime
from broker.lease import Holder, Outcome, Room
from broker.ledger import Ledger
from broker.packet import Command, exchange
from broker.records import State
from broker.settings import LeaseSettings

HERE = Holder(worker="w1", node="n1", block="b1")
THERE = Holder(worker="w2", node="n2", block="b1")
ROOM = Room(free_share=1.0, slot_share=0.5)
DONE = Outcome(verdict="done", reason="exit code 0", exit_code=0, elapsed_s=1.0)
LEASE = LeaseSettings()


@pytest.fixture
def bench(server: servers.Server) -> Bench:
    return Bench(server)


def test_a_renewed_claim_is_extended_and_outlives_its_first_lease(bench: Bench) -> None:
    bench.enqueue("a")
    claim = bench.claim()
    for _ in range(20):
        bench.pass_s(40)
        assert "extended" in bench.turn()
        assert bench.scripts.reap() == []
    assert bench.state(claim) is State.RUNNING


def test_an_outcome_is_settled_and_kept_while_the_broker_is_away(bench: Bench) -> None:
    bench.enqueue("a")
    claim = bench.claim()
    bench.server.kill9()
    bench.holdings.conclude(claim.token, DONE)
    assert bench.turn() == ["silence"]
    assert bench.turn() == ["silence"]
    assert bench.holdings.open_claims == 1
    bench.server.start()
    bench.beat()
    assert bench.turn() == ["settled", "contact"]
    assert bench.state(claim) is State.DONE
    assert bench.holdings.open_claims == 0


def test_a_lease_that_ran_out_is_taken_back_while_nobody_has_started_it(bench: Bench) -> None:
    bench.enqueue("a")
    claim = bench.claim()
    bench.pass_s(LEASE.lease_s + 1)
    assert [r.job_id for r in bench.scripts.reap()] == [claim.job_id]
    assert "taken_back" in bench.turn()
    assert bench.state(claim) is State.RUNNING
    assert bench.leases.claim("other", THERE, ROOM) is None


def test_a_jobfile_that_somebody_else_has_started_is_lost_and_its_outcome_is_not_sent(bench: Bench) -> None:
    bench.enqueue("a")
    claim = bench.claim()
    bench.pass_s(LEASE.lease_s + 1)
    bench.scripts.reap()
    other = bench.leases.claim("other", THERE, ROOM)
    assert other is not None
    assert other.job_id == claim.job_id
    assert "lost" in bench.turn()
    bench.holdings.conclude(claim.token, DONE)
    bench.turn()
    assert bench.state(claim) is State.RUNNING
    assert bench.leases.settle(other.job_id, "other", DONE).accepted


def test_a_node_that_has_lost_a_jobfile_is_idle_from_then_on_and_not_since_it_last_ended_one(bench: Bench) -> None:
    bench.enqueue("a")
    claim = bench.claim()
    began = time.monotonic()
    servers.wait_until(lambda: time.monotonic() > began + 0.3, 5, "time to pass")
    bench.holdings.lose(claim.token)
    assert bench.holdings.idle_s < 0.2


def test_without_a_beat_nothing_is_renewed_or_settled_and_nothing_is_lost(bench: Bench) -> None:
    bench.enqueue("a", "b")
    first, second = bench.claim(), bench.claim()
    bench.holdings.conclude(first.token, DONE)
    bench.now_ms += 61_000
    assert bench.turn() == ["silence"]
    assert bench.holdings.open_claims == 2
    bench.beat()
    assert bench.turn() == ["settled", "contact", "extended"]
    assert (bench.state(first), bench.state(second)) == (State.DONE, State.RUNNING)


def test_a_cancelled_jobfile_is_told_once_and_becomes_cancelled_when_it_has_ended(bench: Bench) -> None:
    bench.enqueue("a")
    claim = bench.claim()
    assert bench.scripts.cancel([claim.job_id]) == ["asked"]
    assert "cancelled" in bench.turn()
    assert "cancelled" not in bench.turn()
    bench.holdings.conclude(claim.token, Outcome(verdict="cancelled", reason="cancelled", signal=15, elapsed_s=1.0))
    bench.turn()
    assert bench.state(claim) is State.CANCELLED


def test_a_hand_back_waits_again_and_is_no_delivery(bench: Bench) -> None:
    bench.enqueue("a")
    claim = bench.claim()
    bench.holdings.conclude(claim.token, HandBack(free=True, reason="drain", elapsed_s=3.0))
    assert bench.turn() == ["settled", "contact"]
    job = Ledger(bench.server.client()).job(claim.job_id)
    assert job is not None
    assert (job.state, job.deliveries, job.losses, job.latest.number) == (State.QUEUED, 0, 0, 1)


def test_a_message_acknowledged_without_an_outcome_is_cancelled_and_never_just_gone(bench: Bench) -> None:
    bench.enqueue("a")
    claim = bench.claim()
    bench.holdings.acknowledge(claim.token)
    bench.turn()
    assert bench.state(claim) is State.CANCELLED


def test_a_failed_connection_is_opened_anew_so_that_the_address_file_is_read_again(bench: Bench) -> None:
    bench.enqueue("a")
    bench.claim()
    bench.turn()
    bench.turn()
    assert bench.connections == 1
    bench.server.kill9()
    bench.turn()
    bench.server.start()
    bench.beat()
    assert "extended" in bench.turn()
    assert bench.connections == 2 or bench.connections == 3


def test_what_a_worker_says_of_itself_is_kept_until_it_says_goodbye(bench: Bench) -> None:
    bench.turn()
    client = bench.server.client()
    assert json.loads(json.loads(client.hget("workers", "w1"))["said"]) == {"node": "n1"}
    bench.renewer._say_goodbye()
    assert not client.exists("workers")


def test_shares_and_slots_bound_what_is_claimed(bench: Bench) -> None:
    bench.enqueue("a", "b")
    assert bench.holdings.may_claim()
    bench.claim()
    assert bench.holdings.room().free_share == 0.5
    second = bench.claim()
    assert not bench.holdings.may_claim()
    bench.holdings.conclude(second.token, DONE)
    assert not bench.holdings.may_claim(), "room is made by the settle: a campaign that pauses must be heard of first"
    bench.turn()
    assert bench.holdings.may_claim()
    bench.holdings.drain()
    assert not bench.holdings.may_claim()


def test_a_silent_broker_that_stands_still_moves_deadlines_but_not_those_that_have_passed(bench: Bench) -> None:
    bench.enqueue("a", "b")
    running, frozen = bench.claim(), bench.claim()
    now = boottime()
    for claim in (running, frozen):
        bench.holdings.started(claim.token, now)
    bench.holdings._held[frozen.token].deadline = now - 1
    assert bench.holdings.run_on(now + 10_000) == [running.token]
    assert bench.holdings.deadline(running.token) == now + 10_000
    assert bench.holdings.deadline(frozen.token) == now - 1


def test_what_waits_is_taken_back_before_a_loss_makes_room_for_a_claim(bench: Bench) -> None:
    bench.enqueue("a", "b")
    taken, kept = bench.claim(), bench.claim()
    # So that the one that is renewed first is the one that somebody else gets.
    bench.scripts.relane([(taken.job_id, "9.0.0.1")])
    bench.pass_s(LEASE.lease_s + 1)
    bench.scripts.reap()
    other = bench.leases.claim("other", THERE, ROOM)
    assert other is not None
    assert other.job_id == taken.job_id
    # As if Celery's loop claimed at the very moment that a loss makes room.
    bench.heard.on_lost = lambda: bench.leases.claim(bench.holdings.token, HERE, ROOM)
    assert {"lost", "taken_back"} <= set(bench.turn())
    assert not bench.holdings.is_concluded(kept.token), "it is lost to a claim of its own worker"


def test_nothing_is_claimed_while_a_claim_has_passed_its_deadline(bench: Bench) -> None:
    bench.enqueue("a", "b")
    claim = bench.claim()
    assert bench.holdings.may_claim()
    bench.holdings._held[claim.token].deadline = boottime() - 1
    assert not bench.holdings.may_claim()
    bench.turn()
    assert bench.holdings.may_claim()


def test_a_settle_brings_the_next_jobfile_along(bench: Bench) -> None:
    bench.enqueue("a", "b", "c")
    first, _ = bench.claim(), bench.claim()
    bench.holdings.conclude(first.token, DONE)
    bench.turn()
    assert bench.given() == ["c"]
    assert bench.holdings.open_claims == 2
    assert bench.holdings.may_claim(), "Celery is to be handed it"
    assert bench.holdings.ask(Asker.LOOP) is None, "there is no room for one more"


def test_what_a_settle_does_not_make_room_for_is_not_asked_for(bench: Bench) -> None:
    bench.enqueue("a", "b", "c", per_node="1")
    first = bench.claim()
    bench.holdings.conclude(first.token, HandBack(free=True, reason="the node leaves"))
    bench.turn()
    assert bench.given() == []
    bench.holdings.drain()
    second = bench.claim()
    bench.holdings.conclude(second.token, DONE)
    bench.turn()
    assert bench.given() == []


def test_a_packet_whose_answer_is_lost_settles_once_and_claims_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.enqueue("a", "b", "c")
    first = bench.claim()
    token = bench.holdings.token

    def lost(client: redis.Redis, commands: Sequence[Command]) -> list[object]:
        exchange(client, commands)
        raise redis.ConnectionError("the answer was lost")

    with monkeypatch.context() as patched:
        patched.setattr("broker.scripts.exchange", lost)
        bench.holdings.conclude(first.token, DONE)
        assert bench.turn() == ["silence"]
    assert bench.given() == []
    assert bench.turn() == ["settled", "contact", "extended"]
    assert bench.given() == ["b"]
    assert [claim.token for claim in bench.holdings.adopted] == [token]
    assert bench.scripts.client.hvals("tokens") == [bench.holdings.adopted[0].job_id]


def test_the_renewer_asks_for_nothing_while_celerys_loop_does(bench: Bench) -> None:
    bench.enqueue("a", "b", "c")
    first = bench.claim()
    assert bench.holdings.ask(Asker.LOOP) is not None
    bench.holdings.conclude(first.token, DONE)
    bench.turn()
    assert bench.given() == [], "two claims under one token are one jobfile"
    second = bench.claim()
    bench.holdings.asked(Asker.LOOP)
    bench.holdings.conclude(second.token, DONE)
    bench.turn()
    assert bench.given() == ["c"]


def test_no_jobfile_comes_along_with_a_settle_while_a_claim_has_passed_its_deadline(bench: Bench) -> None:
    bench.enqueue("a", "b", "c")
    first, frozen = bench.claim(), bench.claim()
    bench.holdings._held[frozen.token].deadline = boottime() - 1
    bench.holdings.conclude(first.token, DONE)
    bench.turn()
    assert bench.given() == []


def test_names_that_are_no_utf_8_and_quotes_come_through_a_claim(bench: Bench) -> None:
    name = 'q"\\/\x7f\t\udcff\udc80é.sh'
    bench.enqueue(name)
    assert bench.claim().name == name
