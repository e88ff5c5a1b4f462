"""What enqueue, cancel, retry and relane answer: one fact each (broker/lua/*.lua; LEASES rules 1, 2, 5, 23)."""

import os

import pytest
from verb_bench import DIRECTORY, Bench

from broker import keys
from broker.enqueue import Entry, enqueue, lane
from broker.errors import BrokerError
from broker.records import State

# -- enqueue --------------------------------------------------------------------------------------------------------------------------


def test_a_new_jobfile_is_enqueued_and_its_record_tells_where_it_is(bench: Bench) -> None:
    assert bench.enqueue(Entry(name="a.sh", priority=7, per_node=2)) == ["enqueued"]
    job = bench.job("a.sh")
    assert (job.state, job.directory, job.campaign, job.priority, job.per_node) == (State.QUEUED, DIRECTORY, "c", 7, 2)
    assert job.latest.number == 0


def test_the_same_enqueued_twice_is_queued_once(bench: Bench) -> None:
    bench.enqueue("a.sh")
    assert bench.enqueue("a.sh") == ["already_queued"]
    assert bench.claim().name == "a.sh"
    assert bench.enqueue("a.sh") == ["already_queued"]
    assert bench.maybe_claim() is None


def test_other_options_change_a_waiting_jobfile_and_leave_a_running_one(bench: Bench) -> None:
    bench.enqueue("a.sh", "b.sh")
    running = bench.claim()
    assert bench.enqueue(Entry(name="b.sh", priority=9), Entry(name=running.name, priority=9)) == ["changed", "already_queued"]
    assert bench.job("b.sh").priority == 9
    assert bench.claim().name == "b.sh"
    assert bench.maybe_claim() is None


def test_what_a_header_sets_is_known_anew_at_each_enqueue(bench: Bench) -> None:
    bench.enqueue(Entry(name="a.sh", priority=5), Entry(name="b.sh", priority=5))
    bench.enqueue(Entry(name="a.sh", priority=5, own=("priority",)), Entry(name="b.sh", priority=6, own=("priority",)))
    assert [bench.client.hget(keys.job(bench.id(n)), "own") for n in ("a.sh", "b.sh")] == ["priority", "priority"]


@pytest.mark.parametrize(
    ("state", "outputs", "again", "word", "now"),
    [
        (None, "present", False, "already_done", "done"),
        (None, "absent", False, "enqueued", "queued"),
        (None, "unknown", False, "enqueued", "queued"),
        ("done", "present", False, "already_done", "done"),
        ("done", "unknown", False, "already_done", "done"),
        ("done", "absent", False, "enqueued", "queued"),
        ("done", "present", True, "enqueued", "queued"),
        ("failed", "present", False, "already_done", "done"),
        ("failed", "absent", False, "failed_before", "failed"),
        ("failed", "unknown", False, "failed_before", "failed"),
        ("failed", "absent", True, "enqueued", "queued"),
        ("cancelled", "absent", False, "failed_before", "cancelled"),
        ("cancelled", "absent", True, "enqueued", "queued"),
    ],
)
def test_an_ended_jobfile_is_judged_by_its_end_and_its_outputs(
    bench: Bench, state: str | None, outputs: str, again: bool, word: str, now: str
) -> None:
    if state:
        bench.end("a.sh", state)
    entry = Entry(name="a.sh", priority=5, outputs=outputs)
    assert bench.enqueue(entry, again=again, dry_run=True) == [word]
    assert (bench.state("a.sh") if state else None) == state
    assert bench.enqueue(entry, again=again) == [word]
    assert bench.state("a.sh") == now


def test_a_jobfile_found_done_counts_as_skipped_until_it_is_started_again(bench: Bench) -> None:
    bench.enqueue(Entry(name="a.sh", priority=5, outputs="present"))
    found = bench.ledger.campaign("c")
    assert found is not None
    assert (found.counts[State.DONE], found.skipped, found.has_ended) == (1, 1, True)
    bench.enqueue("a.sh", again=True)
    found = bench.ledger.campaign("c")
    assert found is not None
    assert (found.counts[State.DONE], found.skipped) == (0, 0)


def test_what_is_active_in_one_campaign_cannot_be_enqueued_in_another(bench: Bench) -> None:
    bench.enqueue("a.sh", "b.sh", campaign="one")
    bench.claim()
    assert bench.enqueue("a.sh", "b.sh", campaign="two") == [f"elsewhere {bench.campaign('one')}"] * 2
    assert [c.total for c in bench.ledger.campaigns()] == [2, 0]


def test_an_ended_jobfile_goes_over_to_the_campaign_that_enqueues_it_and_is_counted_there(bench: Bench) -> None:
    bench.end("a.sh", "failed", campaign="one")
    assert bench.enqueue("a.sh", campaign="two", again=True) == ["enqueued"]
    assert {c.name: c.total for c in bench.ledger.campaigns()} == {"one": 0, "two": 1}
    assert [j.name for j in bench.ledger.jobs("two")] == ["a.sh"]
    assert list(bench.ledger.jobs("one")) == []


def test_a_jobfile_enqueued_again_is_forgiven(bench: Bench) -> None:
    bench.enqueue("a.sh")
    bench.give_back(bench.claim(), free=False)
    bench.fail(bench.claim(), retry=False)
    bench.enqueue("a.sh", again=True)
    job = bench.job("a.sh")
    assert (job.failures, job.losses, job.latest.number) == (0, 0, 2)


def test_a_batch_that_is_repeated_gets_its_first_answer_and_changes_nothing(bench: Bench) -> None:
    words = bench.enqueue("a.sh", batch="b")
    bench.settle(bench.claim(), "failed")
    before = bench.server.dump()
    assert bench.enqueue("a.sh", batch="b", again=True) == words
    assert bench.server.dump() == before


def test_a_large_batch_goes_in_chunks_and_can_be_repeated(bench: Bench) -> None:
    entries = [Entry(name=f"{i}.sh", priority=5) for i in range(1100)]
    number = bench.campaign()
    for _ in range(2):
        answer = enqueue(bench.scripts, batch="large", campaign=number, directory=DIRECTORY, entries=entries)
        assert answer.counts == {"enqueued": 1100}
    assert bench.client.llen(f"lane:{lane(5, 0, 0, number)}") == 1100


def test_names_need_not_be_utf8(bench: Bench) -> None:
    name = os.fsdecode(b"qsub_\xff\xe9 '\"\n.sh")
    directory = os.fsdecode(b"/scratch/\xfe/jobfiles")
    number = bench.campaign()
    enqueue(bench.scripts, batch="b", campaign=number, directory=directory, entries=[Entry(name=name, priority=5)])
    claim = bench.claim()
    assert os.fsencode(claim.path) == b"/scratch/\xfe/jobfiles/qsub_\xff\xe9 '\"\n.sh"
    bench.settle(claim, "failed", reason=f"jobfile gone: {claim.path}", counts_as_failure=True, retry=True)
    bench.claim()
    job = bench.ledger.job_at(directory, name)
    assert job is not None
    assert job.path == claim.path
    assert job.earlier[0].reason == f"jobfile gone: {claim.path}"


def test_nothing_is_enqueued_into_a_campaign_that_was_forgotten_meanwhile(bench: Bench) -> None:
    number = bench.campaign()
    bench.scripts.forget("c")
    with pytest.raises(BrokerError):
        enqueue(bench.scripts, batch="b", campaign=number, directory=DIRECTORY, entries=[Entry(name="a.sh", priority=5)])
    assert bench.ledger.job_at(DIRECTORY, "a.sh") is None


# -- cancel, retry, relane ------------------------------------------------------------------------------------------------------------


def test_cancel_ends_what_waits_at_once_and_asks_the_holder_of_what_runs(bench: Bench) -> None:
    bench.end("done.sh", "done")
    bench.enqueue("running.sh", "waiting.sh")
    bench.claim()
    ids = [bench.id(n) for n in ("waiting.sh", "running.sh", "done.sh", "unheard-of.sh")]
    assert bench.scripts.cancel(ids) == ["cancelled", "asked", "ended", "unknown"]
    assert [bench.state(n) for n in ("waiting.sh", "running.sh", "done.sh")] == ["cancelled", "running", "done"]
    assert bench.maybe_claim() is None


def test_cancelling_a_waiting_jobfile_leaves_its_last_attempt_as_it_ended(bench: Bench) -> None:
    bench.enqueue("a.sh")
    bench.fail(bench.claim(), "exit 3")
    before = bench.job("a.sh").latest
    bench.pass_s(30)
    bench.scripts.cancel([bench.id("a.sh")])
    job = bench.job("a.sh")
    assert before in (job.latest, *job.earlier)


def test_retry_puts_bad_ends_at_the_tail_and_forgives_them(bench: Bench) -> None:
    bench.end("failed.sh", "failed")
    bench.end("done.sh", "done")
    bench.enqueue("waiting.sh", "running.sh")
    bench.scripts.relane([(bench.id("running.sh"), lane(9, 0, 0, bench.campaign()))])
    bench.claim()
    ids = [bench.id(n) for n in ("failed.sh", "waiting.sh", "running.sh", "done.sh", "unheard-of.sh")]
    assert bench.scripts.retry(ids) == ["queued", "waiting", "running", "done", "unknown"]
    assert (bench.job("failed.sh").failures, bench.claim().name, bench.claim().name) == (0, "waiting.sh", "failed.sh")


def test_more_than_a_hundred_ids_go_in_several_scripts(bench: Bench) -> None:
    names = [f"{i}.sh" for i in range(250)]
    bench.enqueue(*names)
    bench.client.config_resetstat()
    assert bench.scripts.cancel([bench.id(n) for n in names]) == ["cancelled"] * 250
    assert bench.client.info("commandstats")["cmdstat_evalsha"]["calls"] == 3
    assert bench.scripts.retry([bench.id(n) for n in names]) == ["queued"] * 250
    assert bench.scripts.relane([(bench.id(n), lane(1, 0, 0, "1")) for n in names]) == 250


def test_relane_moves_what_waits_to_the_tail_and_what_runs_when_it_waits_again(bench: Bench) -> None:
    number = bench.campaign()
    bench.enqueue("running.sh", "waiting.sh", Entry(name="high.sh", priority=9))
    bench.claim()
    running = bench.claim()
    to = lane(9, 0, 0, number)
    bench.enqueue(Entry(name="first.sh", priority=9))
    assert bench.scripts.relane([(bench.id("waiting.sh"), to), (running.job_id, to), ("unknown", to)]) == 1
    assert [bench.claim().name, bench.claim().name] == ["first.sh", "waiting.sh"]
    bench.give_back(running)
    assert bench.job("running.sh").priority == 9


def test_relane_leaves_what_went_over_to_another_campaign_meanwhile(bench: Bench) -> None:
    bench.end("a.sh", "failed", campaign="one")
    bench.enqueue("a.sh", campaign="two", again=True)
    assert bench.scripts.relane([(bench.id("a.sh"), lane(9, 0, 0, bench.campaign("one")))]) == 0
    assert bench.client.hget(keys.job(bench.id("a.sh")), "lane") == lane(5, 0, 0, bench.campaign("two"))
