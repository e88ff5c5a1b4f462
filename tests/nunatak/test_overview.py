"""What `nunatak status` finds worth saying."""

from dataclasses import replace

from broker.records import Campaign, State, WorkerSeen
from nunatak.overview import Overview, bad_ends_text, notices
from nunatak.recent import BadEnds, Pulse

NOTHING = dict.fromkeys(State, 0)


def campaign(name="region_03", paused=None, per_node="", **counts: int) -> Campaign:
    given = {State(state): count for state, count in counts.items()}
    return Campaign(name=name, number="1", options={"per_node": per_node}, counts={**NOTHING, **given}, skipped=0, paused=paused)


def worker(name="w1", last_contact_s=1.0, block="b1", **fields) -> WorkerSeen:
    values = {"node": "n1", "site": "local", "pid": 1, "guard_pid": 2, "slots": 4, "running": 2, "frozen": 0, "state": "running", **fields}
    return WorkerSeen(worker=name, last_contact_s=last_contact_s, block=block, **values)


def overview(**changes) -> Overview:
    quiet = Overview(
        now_s=1000.0, campaigns=(campaign(queued=4, running=2),), workers=(worker(),), live_blocks=("b1",), ended_blocks=frozenset(),
        durations=(60.0, 60.0), bad_ends=(), pulse=Pulse(lease_s=300.0, gap_at=0.0, grace_until=360.0), held_over=0,
    )  # fmt: skip
    return replace(quiet, **changes)


def test_a_healthy_queue_says_nothing():
    assert notices(overview()) == []


def test_a_worker_silent_for_half_a_lease_is_named_with_what_follows():
    (notice,) = notices(overview(workers=(worker(), worker("w2", 200.0))))
    assert "w2 on n1 (3m 20s)" in notice
    assert "their leases" in notice


def test_a_silent_worker_still_counts_until_its_leases_have_run_out():
    assert overview(workers=(worker("w2", 200.0),)).as_dict()["workers"] == 1
    assert overview(workers=(worker("w2", 301.0),)).as_dict()["workers"] == 0


def test_workers_of_ended_blocks_are_gone_and_not_silent():
    seen = overview(workers=(worker(), worker("w2", 200.0, block="b0")), ended_blocks=frozenset({"b0"}))
    assert notices(seen) == []
    assert seen.as_dict()["slots"] == 4


def test_waiting_jobfiles_without_any_worker_are_pointed_out():
    (notice,) = notices(overview(workers=()))
    assert "no worker is in contact" in notice


def test_a_paused_campaign_needs_no_worker():
    assert notices(overview(campaigns=(campaign(queued=4, paused="look"),), workers=())) == []


def test_nothing_is_estimated_while_all_that_is_left_is_paused():
    assert overview(campaigns=(campaign(queued=4, paused="look"),)).eta is None


def test_shares_bound_what_is_estimated():
    alone = overview(campaigns=(campaign(queued=40, per_node="1"),))
    assert alone.eta[0] > overview(campaigns=(campaign(queued=40),)).eta[0] * 3


def test_bad_ends_beyond_the_most_frequent_reasons_are_summed_up():
    bad = [BadEnds(campaign="c", state=State.FAILED, reason=f"reason {i}", count=9 - i, jobfile=f"/x/{i}.sh") for i in range(5)]
    lines = bad_ends_text(bad)
    assert lines[0] == "c: 9 failed: reason 0; see nunatak log 0.sh"
    assert lines[3] == "c: 11 for other reasons: nunatak jobs --campaign c --state failed"
    assert len(lines) == 4


def test_a_hold_for_many_silent_nodes_says_since_when_and_until_when():
    (notice,) = notices(overview(pulse=Pulse(lease_s=300.0, gap_at=0.0, grace_until=0.0, hold_since=1000.0)))
    assert "nothing is taken back since" in notice
    assert notices(overview(pulse=Pulse(lease_s=300.0, gap_at=0.0, grace_until=0.0))) == []
