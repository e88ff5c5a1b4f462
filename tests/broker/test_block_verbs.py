"""Intents, records and drains of blocks by several launchers at once, and what they remember of sites (LEASES rule 26)."""

import pytest
from verb_bench import Bench, holder

from broker.errors import Stale


def intent(bench: Bench, site: str = "tacc", **more: str) -> dict[str, str]:
    """A record as launcher/block.py writes it before a submission."""
    empty = dict.fromkeys(("job_id", "ended_at", "cancelled_at", "drained_at"), "")
    return {"site": site, "state": "intended", "submitted_at": str(bench.now_ms / 1000), **empty, **more}


def intend(bench: Bench, block_id: str, site: str = "tacc", *, seen: int = 0, max_live: int | None = 2, per_hour: int | None = 20) -> str:
    return bench.ledger.intend(block_id, intent(bench, site), site=site, seen=seen, max_live=max_live, per_hour=per_hour)


def fields(bench: Bench, block_id: str) -> dict[str, str]:
    return next(b.fields for b in bench.ledger.blocks() if b.block == block_id)


# -- intend ---------------------------------------------------------------------------------------------------------------------------


def test_an_intent_is_a_live_block_before_anything_is_submitted(bench: Bench) -> None:
    assert intend(bench, "b1") == "ok"
    assert bench.ledger.live_blocks() == ["b1"]
    assert bench.events("block_intended")[0]["block"] == "b1"


def test_of_two_launchers_that_have_seen_the_same_one_is_sent_to_look_again(bench: Bench) -> None:
    assert intend(bench, "b1") == "ok"
    assert intend(bench, "b2") == "changed"
    assert [b.block for b in bench.ledger.blocks()] == ["b1"]


def test_the_cap_counts_the_live_blocks_of_the_site_alone(bench: Bench) -> None:
    assert intend(bench, "b1") == intend(bench, "b2", seen=1) == "ok"
    assert intend(bench, "b3", seen=2) == "cap"
    assert intend(bench, "b3", "elsewhere") == "ok"
    bench.ledger.record_block("b1", {"state": "ended", "ended_at": "7"})
    assert intend(bench, "b4", seen=1) == "ok"


def test_the_hour_counts_what_was_intended_in_it_ended_or_not(bench: Bench) -> None:
    for i in range(3):
        assert intend(bench, f"b{i}", per_hour=3) == "ok"
        bench.ledger.record_block(f"b{i}", {"state": "failed", "ended_at": "7"})
        bench.pass_s(600)
    assert intend(bench, "b3", per_hour=3) == "hour"
    bench.pass_s(3000)
    assert intend(bench, "b3", per_hour=3) == "ok"


def test_a_launchers_wrong_clock_does_not_stretch_the_hour(bench: Bench) -> None:
    old = intent(bench, submitted_at="1000")
    assert bench.ledger.intend("b1", old, site="tacc", seen=0, max_live=None, per_hour=1) == "ok"
    assert intend(bench, "b2", seen=1, per_hour=1) == "hour"


def test_a_paused_site_takes_no_intent(bench: Bench) -> None:
    bench.ledger.record_site("tacc", {"paused": "3 blocks died young"})
    assert intend(bench, "b1") == "paused"
    bench.ledger.record_site("tacc", {"paused": ""})
    assert intend(bench, "b1") == "ok"


def test_a_repeated_intent_is_the_same_one_and_counts_once(bench: Bench) -> None:
    for _ in range(2):
        assert intend(bench, "b1", max_live=1, per_hour=1) == "ok"
    assert len(bench.ledger.blocks()) == len(bench.events("block_intended")) == 1


def test_an_intent_of_another_launcher_with_the_same_id_exists_already(bench: Bench) -> None:
    intend(bench, "b1")
    bench.pass_s(1)
    assert intend(bench, "b1") == "exists"


def test_a_repeated_intent_of_which_something_has_become_is_not_submitted_again(bench: Bench) -> None:
    sent = intent(bench)
    bench.ledger.intend("b1", sent, site="tacc", seen=0, max_live=1, per_hour=1)
    bench.ledger.record_block("b1", {**sent, "state": "failed", "ended_at": "7"})
    assert bench.ledger.intend("b1", sent, site="tacc", seen=0, max_live=1, per_hour=1) == "exists"


def test_without_limits_every_intent_is_recorded(bench: Bench) -> None:
    for i in range(5):
        assert bench.ledger.intend(f"b{i}", intent(bench), site="tacc", seen=None, max_live=None, per_hour=None) == "ok"


# -- record_block ---------------------------------------------------------------------------------------------------------------------


def test_what_has_ended_stays_so_whatever_a_slow_launcher_writes(bench: Bench) -> None:
    before = intent(bench, state="running", job_id="77")
    bench.ledger.record_block("b1", {**before, "state": "ended", "ended_at": "7", "reason": "its own word"})
    assert bench.ledger.record_block("b1", {**before, "reason": "still there"}) == "over"
    assert (fields(bench, "b1")["state"], fields(bench, "b1")["reason"]) == ("ended", "its own word")


def test_a_job_id_that_comes_after_the_end_is_kept_and_its_writer_is_told(bench: Bench) -> None:
    sent = intent(bench)
    bench.ledger.record_block("b1", {**sent, "state": "failed", "ended_at": "7"})
    assert bench.ledger.record_block("b1", {**sent, "state": "waiting", "job_id": "77"}) == "over"
    assert (fields(bench, "b1")["state"], fields(bench, "b1")["job_id"]) == ("failed", "77")


def test_a_cancellation_outlives_a_writer_that_had_read_the_record_before(bench: Bench) -> None:
    before = intent(bench, state="waiting", job_id="77")
    bench.ledger.record_block("b1", {**before, "state": "leaving", "cancelled_at": "5"})
    assert bench.ledger.record_block("b1", {**before, "state": "running", "started_at": "6"}) == "outdated"
    now = fields(bench, "b1")
    assert (now["state"], now["cancelled_at"], now["started_at"]) == ("leaving", "5", "6")


def test_an_end_is_recorded_also_by_who_does_not_know_of_the_cancellation(bench: Bench) -> None:
    before = intent(bench, state="running", job_id="77")
    bench.ledger.record_block("b1", {**before, "state": "leaving", "cancelled_at": "5"})
    assert bench.ledger.record_block("b1", {**before, "state": "ended", "ended_at": "7"}) == "outdated"
    now = fields(bench, "b1")
    assert (now["state"], now["ended_at"], now["cancelled_at"]) == ("ended", "7", "5")


def test_a_job_id_that_another_launcher_found_outlives_a_failed_submission(bench: Bench) -> None:
    sent = intent(bench)
    bench.ledger.record_block("b1", {**sent, "state": "running", "job_id": "77"})
    assert bench.ledger.record_block("b1", {**sent, "state": "unknown", "reason": "sbatch: timeout"}) == "outdated"
    assert (fields(bench, "b1")["state"], fields(bench, "b1")["job_id"]) == ("running", "77")


def test_a_drain_is_kept_and_the_cancellation_of_a_drained_block_is_recorded(bench: Bench) -> None:
    before = intent(bench, state="running", job_id="77")
    bench.ledger.record_block("b1", before)
    assert bench.ledger.drain_block("b1") == "draining"
    assert bench.ledger.record_block("b1", {**before, "state": "leaving", "cancelled_at": "5"}) == "outdated"
    now = fields(bench, "b1")
    assert (now["state"], now["cancelled_at"], bool(now["drained_at"])) == ("leaving", "5", True)


def test_the_first_word_of_a_blocks_worker_is_recorded_and_stays(bench: Bench) -> None:
    before = intent(bench, heard_at="")
    bench.ledger.record_block("b1", before)
    first = bench.now_ms / 1000
    for worker in ("b1.n1", "b1.n1", "b1.n2"):
        bench.leases.renew(worker, "{}", [], node=worker[-2:], block="b1")
        bench.pass_s(40)
    assert bench.ledger.record_block("b1", {**before, "state": "running"}) == "recorded"
    assert float(fields(bench, "b1")["heard_at"]) == first
    bench.leases.renew("nobody.n1", "{}", [], node="n1", block="nobody")
    assert [b.block for b in bench.ledger.blocks()] == ["b1"]


@pytest.mark.parametrize(("known", "lives"), [
    ({}, True),
    ({"ends_at": "-7200"}, False),
    ({"ends_at": "-1800"}, True),
    ({"started_at": "-9000", "walltime_s": "3600"}, False),
    ({"started_at": "-9000"}, True),
])  # fmt: skip
def test_a_clusters_block_counts_as_over_an_hour_after_its_walltime_though_nobody_looked(
    bench: Bench, known: dict[str, str], lives: bool
) -> None:
    now = bench.ledger.now_s()
    times = {name: str(now + float(value)) if name.endswith("_at") else value for name, value in known.items()}
    bench.ledger.record_block("b1", intent(bench, provider="slurm", **times))
    assert (bench.ledger.live_blocks() == ["b1"]) == lives
    assert intend(bench, "b2", seen=1, max_live=1) == "cap", "for a new one only a recorded end counts"


# -- drain ----------------------------------------------------------------------------------------------------------------------------


def test_a_drain_says_what_it_did_to_each_block_and_rings(bench: Bench) -> None:
    for name in ("b1", "b2", "b3"):
        bench.ledger.record_block(name, intent(bench, ended_at="7" if name == "b3" else ""))
    assert bench.ledger.drain_blocks(["b1", "b2", "b3", "b4"]) == ["draining", "draining", "over", "unknown"]
    assert bench.ledger.drain_block("b1") == "already"
    assert float(fields(bench, "b1")["drained_at"]) == bench.now_ms / 1000
    assert [e["block"] for e in bench.events("block_draining")] == ["b1", "b2"]
    assert bench.client.llen("bell") > 0


def test_a_drained_blocks_workers_get_nothing_more_and_are_told_and_keep_what_they_have(bench: Bench) -> None:
    bench.ledger.record_block("b1", intent(bench))
    bench.enqueue("a.sh", "b.sh")
    claim = bench.claim("w1", token="t")
    bench.ledger.drain_block("b1")
    assert bench.claim("w1", token="t").job_id == claim.job_id, "its answer may have been lost"
    assert bench.maybe_claim("w1") is None
    who = holder("w1")
    told = bench.leases.renew("w1", "{}", [], node=who.node, block=who.block).told
    assert told == ("drain", "")
    assert bench.leases.renew("w2", "{}", [], node="n", block="b2").told is None
    assert [w.value for w in bench.renew(claim)] == ["renewed"]
    assert bench.settle(claim).state == "done"
    assert bench.scripts.claim("t2", "w2", "n", "b2", 1.0, 0.25, "")[0] == "claimed"


def test_a_cancelled_blocks_worker_that_its_scheduler_could_not_reach_gets_nothing_more_and_is_told(bench: Bench) -> None:
    before = intent(bench)
    bench.ledger.record_block("b1", before)
    bench.enqueue("a.sh")
    bench.ledger.record_block("b1", {**before, "state": "leaving", "cancelled_at": "5"})
    assert bench.maybe_claim("w1") is None
    who = holder("w1")
    assert bench.leases.renew("w1", "{}", [], node=who.node, block=who.block).told == ("drain", "")


# -- sites and the gate ---------------------------------------------------------------------------------------------------------------


def test_a_sites_fields_change_one_by_one(bench: Bench) -> None:
    assert (bench.ledger.site("tacc"), bench.ledger.sites()) == ({}, {})
    bench.ledger.record_site("tacc", {"refusals": "3", "silence": "squeue did not answer in 60 s"})
    bench.ledger.record_site("tacc", {"silence": "", "polled_at": "17.5"})
    assert bench.ledger.sites() == {"tacc": {"refusals": "3", "polled_at": "17.5"}}
    assert bench.ledger.site("tacc") == {"refusals": "3", "polled_at": "17.5"}


@pytest.mark.parametrize("verb", ["intend", "record_block", "drain", "record_site"])
def test_without_a_fresh_beat_nothing_of_a_block_is_written(bench: Bench, verb: str) -> None:
    bench.ledger.record_block("b1", intent(bench))
    before = bench.server.dump()
    bench.now_ms += 61_000
    calls = {
        "intend": lambda: intend(bench, "b2"),
        "record_block": lambda: bench.ledger.record_block("b1", {"state": "running"}),
        "drain": lambda: bench.ledger.drain_block("b1"),
        "record_site": lambda: bench.ledger.record_site("tacc", {"paused": "x"}),
    }
    with pytest.raises(Stale):
        calls[verb]()
    assert bench.server.dump() == before
