"""Result records: what ended and could not be settled is not run again, and what was settled is never taken for the next attempt's end."""

import os
import signal
from collections import Counter

import pytest

from broker.records import State


@pytest.fixture
def node(machine):
    machine.quicken()
    assert machine.call("broker", "start").code == 0
    return machine.start_node("r1", slots=4)


def _records(machine):
    return list(machine.home.records_dir.rglob("*.json"))


@pytest.mark.usefixtures("node")
def test_every_retry_is_a_run_of_its_own_however_soon_it_follows(machine, wait_until):
    for name in "ABCD":
        machine.write(name, f"echo {name} >> {machine.root}/starts; exit 7")
    machine.enqueue("--retries", "15")
    jobs = machine.wait_ended()
    assert {(job.state, job.failures, job.latest.number) for job in jobs.values()} == {(State.FAILED, 16, 16)}
    starts = Counter((machine.root / "starts").read_text().split())
    assert starts == dict.fromkeys("ABCD", 16)
    wait_until(lambda: not _records(machine), 10, "the records of what is settled to be removed")
    machine.assert_nothing_left()


def test_what_ended_on_a_node_that_died_before_it_could_tell_is_settled_by_the_next_one_and_not_run_again(machine, node, wait_until):
    go = machine.root / "go"
    machine.write_ticking("A", 0, before=f"until [ -e {go} ]; do sleep 0.05; done", after="say end; exit 5")
    machine.enqueue("--retries", "0")
    machine.wait_running("A")
    worker = node.worker
    os.kill(worker, signal.SIGSTOP)
    go.touch()
    wait_until(lambda: _records(machine), 5, "the guard to write the record")
    os.kill(node.guard, signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    node.kill_guard()
    wait_until(lambda: machine.states()["A"] is State.QUEUED, 15, "its lease to run out")
    second = machine.start_node("r2")
    job = machine.wait_ended()["A"]
    assert (job.state, job.latest.exit_code, job.latest.reason) == (State.FAILED, 5, "exit code 5")
    assert len(machine.log.of("A")) == 1
    assert "run.record_found" in second.words()
    assert _records(machine) == []
    machine.assert_nothing_left()
