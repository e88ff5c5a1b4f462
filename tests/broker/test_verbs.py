"""What claim, renew and settle answer: one fact each (broker/lua/*.lua; LEASES rules 1-5)."""

import pytest
from verb_bench import SETTINGS, Bench

from broker.enqueue import Entry
from broker.lease import Phase, Room, Word
from broker.records import State

# -- claim --------------------------------------------------------------------------------------------------------------------------


def test_a_claim_tells_the_holder_what_it_needs(bench: Bench) -> None:
    bench.campaign("c", retries="1")
    bench.enqueue(Entry(name="a.sh", priority=5, per_node=2))
    claim = bench.claim()
    assert (claim.path, claim.attempt, claim.deliveries, claim.failures, claim.per_node) == ("/scratch/jobfiles/2m/a.sh", 1, 1, 0, 2)
    assert claim.safe_s == SETTINGS.lease_s - SETTINGS.margin_s
    assert (claim.campaign["name"], claim.campaign["retries"]) == ("c", "1")


def test_a_token_that_holds_a_claim_gets_the_same_one_again_and_its_lease_anew(bench: Bench) -> None:
    bench.enqueue("a.sh", "b.sh")
    first = bench.claim(token="t")
    bench.pass_s(200)
    assert bench.claim(token="t") == first
    assert bench.client.zscore("leases", first.job_id) == bench.now_ms + SETTINGS.lease_s * 1000
    assert bench.state("b.sh") == "queued"


def test_an_empty_queue_says_empty_and_silences_the_bell(bench: Bench) -> None:
    bench.enqueue("a.sh")
    bench.claim()
    assert bench.claim_word() == "empty"
    assert bench.client.llen("bell") == 0


def test_a_queue_in_which_nothing_fits_says_unfit_and_the_bell_stays(bench: Bench) -> None:
    bench.enqueue(Entry(name="a.sh", priority=5, per_node=1))
    assert bench.claim_word(Room(free_share=0.5, slot_share=0.25)) == "unfit"
    assert bench.client.llen("bell") == 1


def test_stale_tickets_beyond_the_budget_make_a_claim_ask_again_and_nothing_is_missed(bench: Bench) -> None:
    names = [f"{i}.sh" for i in range(1200)]
    bench.enqueue(*names)
    bench.scripts.cancel([bench.id(n) for n in names[:-1]])
    assert bench.claim_word() == "again"
    assert bench.claim().name == names[-1]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Entry(name="high.sh", priority=9), Entry(name="low.sh", priority=0, estimate_s=9000)),
        (Entry(name="long.sh", priority=5, estimate_s=9000), Entry(name="short.sh", priority=5, estimate_s=900)),
    ],
)
def test_a_higher_priority_goes_first_then_the_longer_one(bench: Bench, first: Entry, second: Entry) -> None:
    bench.enqueue(second, first)
    assert [bench.claim().name, bench.claim().name] == [first.name, second.name]


def test_the_first_enqueued_of_a_kind_goes_first(bench: Bench) -> None:
    bench.enqueue("a.sh", "b.sh")
    assert bench.claim().name == "a.sh"


def test_what_is_longer_than_the_blocks_remainder_is_passed_over_for_what_fits(bench: Bench) -> None:
    bench.enqueue(Entry(name="long.sh", priority=9, estimate_s=9000), Entry(name="short.sh", priority=0, estimate_s=900))
    assert bench.claim(room=Room(free_share=1.0, slot_share=0.25, remaining_s=3600.0)).name == "short.sh"


def test_a_bound_block_claims_from_its_campaigns_only(bench: Bench) -> None:
    bench.enqueue("a.sh", campaign="one")
    bench.enqueue("b.sh", campaign="two")
    bound = Room(free_share=1.0, slot_share=0.25, campaigns=(bench.campaign("two"),))
    assert bench.claim(room=bound).name == "b.sh"
    assert bench.maybe_claim(room=bound) is None


@pytest.mark.parametrize(
    ("per_node", "free", "fits"), [(2, 0.5, True), (2, 0.49, False), (0, 0.25, True), (0, 0.24, False), (3, 1 / 3, True)]
)
def test_a_claim_never_exceeds_the_nodes_free_share(bench: Bench, per_node: int, free: float, fits: bool) -> None:
    bench.enqueue(Entry(name="a.sh", priority=5, per_node=per_node))
    assert (bench.maybe_claim(room=Room(free_share=free, slot_share=0.25)) is not None) == fits


def test_a_jobfile_lost_too_often_is_set_aside_and_the_next_one_is_given_out(bench: Bench) -> None:
    bench.enqueue("poison.sh", "good.sh")
    for i in range(SETTINGS.max_losses):
        assert bench.claim(f"w{i}").name == "poison.sh"
        bench.lose()
    assert bench.claim().name == "good.sh"
    assert bench.state("poison.sh") == "quarantined"
    assert [j.name for j in bench.ledger.jobs(state=State.QUARANTINED)] == ["poison.sh"]
    assert bench.events("quarantined")[0]["losses"] == str(SETTINGS.max_losses)


def test_a_jobfile_that_was_set_aside_still_tells_with_which_node_each_attempt_was_lost(bench: Bench) -> None:
    bench.enqueue("poison.sh")
    for i in range(SETTINGS.max_losses):
        bench.claim(f"w{i}")
        bench.lose()
    bench.maybe_claim()
    job = bench.job("poison.sh")
    reasons = {a.number: a.reason for a in (job.latest, *job.earlier) if a.started_at}
    assert reasons == {i + 1: f"lost with node-of-w{i}" for i in range(SETTINGS.max_losses)}


def test_a_message_that_is_not_ours_is_rejected_and_recorded_never_run(bench: Bench) -> None:
    bench.client.lpush("jobfiles", '{"body": "foreign"}', '{"body": "another"}')
    assert bench.claim_word() == "empty"
    assert bench.client.llen("jobfiles") == 0
    assert sorted(bench.client.lrange("rejected", 0, -1)) == ['{"body": "another"}', '{"body": "foreign"}']
    assert len(bench.events("rejected")) == 2


def test_at_most_a_thousand_rejected_messages_are_kept(bench: Bench) -> None:
    bench.client.rpush("rejected", *["old"] * 1000)
    bench.client.lpush("jobfiles", "new")
    bench.claim_word()
    assert (bench.client.llen("rejected"), bench.client.lindex("rejected", 0)) == (1000, "new")


# -- renew --------------------------------------------------------------------------------------------------------------------------


def test_a_renewal_moves_the_leases_end_and_carries_the_counter(bench: Bench) -> None:
    bench.enqueue("a.sh")
    claim = bench.claim()
    bench.pass_s(120)
    renewal = bench.leases.renew("w1", "{}", [])
    assert (renewal.safe_s, renewal.counter) == (SETTINGS.lease_s - SETTINGS.margin_s, bench.counter)
    assert bench.renew(claim) == (Word.RENEWED,)
    assert bench.client.zscore("leases", claim.job_id) == bench.now_ms + SETTINGS.lease_s * 1000


def test_a_renewal_says_cancel_once_the_user_wants_it_ended_and_still_renews(bench: Bench) -> None:
    bench.enqueue("a.sh")
    claim = bench.claim()
    assert bench.scripts.cancel([claim.job_id]) == ["asked"]
    bench.pass_s(30)
    assert bench.renew(claim) == (Word.CANCEL,)
    assert bench.client.zscore("leases", claim.job_id) == bench.now_ms + SETTINGS.lease_s * 1000
    assert bench.job("a.sh").cancelling


def test_a_renewal_answers_each_claim_with_its_own_word(bench: Bench) -> None:
    bench.enqueue("held.sh", "waiting.sh", "settled.sh", "lost.sh")
    claims = {c.name: c for c in (bench.claim() for _ in range(4))}
    bench.settle(claims["settled.sh"])
    bench.pass_s(200)
    bench.renew(claims["held.sh"])
    bench.pass_s(150)
    bench.scripts.reap()
    bench.scripts.cancel([claims["lost.sh"].job_id])
    asked = [claims[n] for n in ("held.sh", "waiting.sh", "settled.sh", "lost.sh")]
    assert bench.renew(*asked) == (Word.RENEWED, Word.WAITING, Word.SETTLED, Word.LOST)


def test_a_start_is_recorded_once_with_the_time_it_began(bench: Bench) -> None:
    bench.enqueue("a.sh")
    claim = bench.claim()
    bench.renew(claim, phase=Phase.RUNNING)
    started = bench.job("a.sh").latest.started_at
    bench.pass_s(30)
    bench.renew(claim, phase=Phase.RUNNING)
    latest = bench.job("a.sh").latest
    assert (latest.number, latest.started_at, latest.node) == (1, started, "node-of-w1")
    assert len(bench.events("started")) == 1


def test_a_worker_is_listed_until_it_leaves(bench: Bench) -> None:
    said = '{"node": "n", "block": "b", "site": "s", "pid": 1, "guard_pid": 2, "slots": 4, "running": 0, "frozen": 0, "state": "running"}'
    bench.leases.renew("w1", said, [])
    assert [(w.worker, w.slots) for w in bench.ledger.workers()] == [("w1", 4)]
    bench.scripts.leave("w1")
    bench.scripts.leave("w1")
    assert bench.ledger.workers() == []


# -- settle -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verdict", "state"), [("done", "done"), ("skipped", "done"), ("failed", "failed"), ("cancelled", "cancelled")])
def test_a_verdict_becomes_a_state(bench: Bench, verdict: str, state: str) -> None:
    bench.enqueue("a.sh")
    settled = bench.settle(bench.claim(), verdict)
    assert (settled.accepted, settled.state, bench.state("a.sh")) == (True, state, state)
    assert bench.job("a.sh").skipped == (verdict == "skipped")


def test_the_outcome_is_recorded(bench: Bench) -> None:
    bench.enqueue("a.sh")
    bench.settle(bench.claim(), "failed", "signal 9", signal=9, elapsed_s=2.5, cpu_s=1.25, max_rss_mb=99.5, fingerprint="f00")
    latest = bench.job("a.sh").latest
    assert (latest.ending, latest.reason, latest.exit_code, latest.signal) == ("failed", "signal 9", None, 9)
    assert (latest.elapsed_s, latest.cpu_s, latest.max_rss_mb, latest.fingerprint) == (2.5, 1.25, 99.5, "f00")


def test_a_repeated_settle_changes_nothing(bench: Bench) -> None:
    bench.enqueue("a.sh")
    claim = bench.claim()
    assert bench.fail(claim) == bench.fail(claim)
    assert (bench.job("a.sh").failures, bench.state("a.sh")) == (1, "queued")


def test_a_worker_that_lost_its_lease_cannot_settle_what_somebody_else_has_started(bench: Bench) -> None:
    bench.enqueue("a.sh")
    old = bench.claim("w1")
    bench.lose()
    new = bench.claim("w2")
    settled = bench.settle(old)
    assert (settled.accepted, settled.state) == (False, "running")
    assert bench.settle(new).accepted


def test_a_late_settle_counts_while_nobody_has_started_the_jobfile_since(bench: Bench) -> None:
    bench.enqueue("a.sh")
    claim = bench.claim()
    bench.lose()
    assert bench.settle(claim).state == "done"
    assert bench.job("a.sh").latest.ending == "done"


def test_a_claim_that_was_settled_late_is_no_loss(bench: Bench) -> None:
    bench.enqueue("a.sh")
    claim = bench.claim()
    bench.lose()
    bench.fail(claim)
    assert bench.job("a.sh").losses == 0


def test_a_settle_of_a_forgotten_jobfile_is_a_strangers(bench: Bench) -> None:
    bench.enqueue("a.sh")
    claim = bench.claim()
    bench.settle(claim)
    bench.scripts.forget("c")
    settled = bench.settle(claim)
    assert (settled.accepted, settled.state) == (False, "forgotten")


def test_a_failure_is_tried_again_as_often_as_its_campaign_says(bench: Bench) -> None:
    bench.campaign("c", retries="1")
    bench.enqueue("a.sh")
    assert bench.fail(bench.claim()).state == "queued"
    assert bench.fail(bench.claim()).state == "failed"


def test_a_failed_jobfile_that_is_tried_again_goes_to_the_tail(bench: Bench) -> None:
    bench.enqueue("a.sh", "b.sh")
    bench.fail(bench.claim())
    assert bench.claim().name == "b.sh"


def test_what_ran_while_it_was_to_be_cancelled_is_cancelled_but_done_if_it_is_done(bench: Bench) -> None:
    bench.enqueue("a.sh", "b.sh")
    claims = [bench.claim(), bench.claim()]
    bench.scripts.cancel([c.job_id for c in claims])
    assert bench.fail(claims[0]).state == "cancelled"
    assert bench.settle(claims[1]).state == "done"
    assert not bench.job("a.sh").cancelling


def test_each_attempt_keeps_its_own_ending(bench: Bench) -> None:
    bench.enqueue("a.sh")
    bench.fail(bench.claim("w1"), "exit 3")
    bench.lose()
    claim = bench.claim("w2")
    bench.lose()
    bench.settle(bench.claim("w3"))
    job = bench.job("a.sh")
    assert claim.attempt == 2
    assert [(a.number, a.ending, a.worker) for a in (*job.earlier, job.latest)] == [
        (1, "failed", "w1"),
        (2, "lost", "w2"),
        (3, "done", "w3"),
    ]


def test_an_attempt_is_shown_once_also_while_the_next_one_has_not_started(bench: Bench) -> None:
    bench.enqueue("a.sh")
    bench.fail(bench.claim("w1"), "exit 3")
    claim = bench.claim("w2")
    job = bench.job("a.sh")
    assert [a.number for a in job.earlier] == [1]
    assert (job.latest.number, job.latest.worker) == (claim.attempt, "w2")
