"""A worker hangs: its guard ends it and starts another. The jobfiles run on, or stand still for as long as nobody renews."""

import os
import signal
import time

import pytest
from chaos.signs import STUTTER_S, longest_pause, signs, until
from whole.proc import is_alive


def _start_two_and_stop_the_worker(machine, go):
    for name in ("A", "B"):
        machine.write_ticking(name, 0.3, before=until(go))
    machine.enqueue()
    node = machine.start_node("h1")
    machine.wait_running("A", "B")
    hung = node.worker
    os.kill(hung, signal.SIGSTOP)
    return node, hung, time.time()


def _wait_for_the_next_worker(wait_until, node, hung):
    """It has adopted both, and the broker has heard of it."""
    wait_until(lambda: not is_alive(hung) and node.worker not in (None, hung), 20, "the guard to replace the worker")
    wait_until(lambda: "adopted=2" in node.words(), 20, "the next worker to carry on")
    return time.time()


def _assert_one_run_each(machine, node, jobs):
    assert {run.name: (run.attempt, len(run.pids)) for run in machine.log.runs()} == {"A": (1, 1), "B": (1, 1)}
    assert {(job.deliveries, job.losses, job.latest.number) for job in jobs.values()} == {(1, 0, 1)}
    assert node.words().count("worker.started") == 2
    machine.assert_all_done_and_none_twice_at_once(jobs)


@pytest.mark.slow
def test_a_hung_worker_is_replaced_before_anything_is_frozen_and_jobfiles_notice_nothing(machine, wait_until):
    # As 90 s and 240 s are: the guard's patience ends well before the lease.
    machine.quicken(LEASE_LEASE_S="30", LEASE_MARGIN_S="2", WORKER_HELLO_TIMEOUT_S="11")
    go = machine.root / "go"
    node, hung, since = _start_two_and_stop_the_worker(machine, go)
    carried_on = _wait_for_the_next_worker(wait_until, node, hung)
    go.touch()
    jobs = machine.wait_ended()
    for name in ("A", "B"):
        assert longest_pause(machine, name, since, carried_on) < STUTTER_S
    assert "attempt.frozen" not in node.words()
    _assert_one_run_each(machine, node, jobs)


@pytest.mark.slow
def test_jobfiles_are_frozen_at_their_deadline_and_thawed_by_the_next_worker(machine, wait_until):
    machine.quicken(WORKER_HELLO_TIMEOUT_S="12")
    go = machine.root / "go"
    node, hung, since = _start_two_and_stop_the_worker(machine, go)
    # A renewal may have been on its way; then 3 s are left of a lease of 4 s.
    wait_until(lambda: node.words().count("attempt.frozen") == 2, 5, "both to be frozen")
    assert is_alive(hung)
    stood_still = {name: signs(machine, name)[-1] for name in ("A", "B")}
    assert max(stood_still.values()) < since + 4, "nobody may run when the lease has ended"
    wait_until(lambda: {job.losses for job in machine.jobs().values()} == {1}, 8, "the leases to run out")
    _wait_for_the_next_worker(wait_until, node, hung)
    wait_until(lambda: all(signs(machine, name)[-1] > stood_still[name] for name in stood_still), 10, "both to go on")
    go.touch()
    jobs = machine.wait_ended()
    _assert_one_run_each(machine, node, jobs)
