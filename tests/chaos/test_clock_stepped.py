"""Somebody sets a clock, of the broker's host or of a node, by an hour or half a minute: no lease is longer or shorter by it."""

import time

import pytest
from chaos.signs import STUTTER_S, longest_pause, until
from chaos.stepped_clock import TRUE_CLOCK, stepped_clock
from whole.machine import machine_in

_STEPS_S = (3600, 0, 30, -3600, 0)
#: Renewed every 2 s, so that a lease that a step has ended would be taken back before its holder has said anything.
_LEASES = {
    "LEASE_LEASE_S": "15", "LEASE_MARGIN_S": "3", "LEASE_RENEW_EVERY_S": "2", "LEASE_BEAT_EVERY_S": "0.3", "LEASE_REAP_EVERY_S": "0.2",
}  # fmt: skip
#: Each step is left for so long: more than a renewal.
_REST_S = 2.5


def _step_around(machine, wait_until, clock):
    """After each step a jobfile more is claimed, run and settled."""
    for number, by_s in enumerate(_STEPS_S):
        clock.step(by_s)
        since = time.time()
        machine.write_ticking(f"short{number}", 0.2, header=TRUE_CLOCK)
        assert machine.call("enqueue", str(machine.folder)).code == 0
        wait_until(lambda n=number: [run for run in machine.log.of(f"short{n}") if run.ended], 20, f"a jobfile to run after {by_s} s")
        wait_until(lambda s=since: time.time() > s + _REST_S, _REST_S, "more than a renewal to pass")


def _assert_nobody_noticed(machine, node, since, over):
    jobs = machine.wait_ended()
    for name in "AB":
        assert longest_pause(machine, name, since, over) < STUTTER_S
    assert {run.name: run.attempt for run in machine.log.runs()} == dict.fromkeys(jobs, 1)
    assert len(machine.log.runs()) == len(jobs) == 2 + len(_STEPS_S)
    assert {(job.deliveries, job.losses) for job in jobs.values()} == {(1, 0)}
    assert node.words().count("worker.started") == 1
    # A jobfile that is taken away and brought back within a moment shows in no count.
    assert "attempt.frozen" not in node.words()
    assert "lease.taken_back" not in node.words()
    assert "lease.expired" not in machine.home.supervisor_log.read_text()
    machine.assert_all_done_and_none_twice_at_once(jobs)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("whose", ["broker", "node"])
def test_a_clock_that_is_set_costs_no_jobfile_its_lease(tmp_path, wait_until, whose):
    # The machine's own folder is removed with it; the library must outlive its last process.
    with stepped_clock(tmp_path) as clock, machine_in(tmp_path) as machine:
        machine.quicken(**_LEASES)
        plain = machine.environ
        stepped = plain | clock.environ
        machine.environ = stepped if whose == "broker" else plain
        assert machine.call("broker", "start").code == 0
        go = machine.root / "go"
        for name in "AB":
            machine.write_ticking(name, 0.3, header=TRUE_CLOCK, before=until(go))
        machine.environ = plain
        machine.enqueue("--priority", "5")
        machine.environ = stepped if whose == "node" else plain
        node = machine.start_node("c1", slots=3)
        machine.environ = plain
        machine.wait_running("A", "B")
        since = time.time()
        _step_around(machine, wait_until, clock)
        over = time.time()
        if whose == "broker":
            assert machine.home.supervisor_log.read_text().count("drift=True") == len(_STEPS_S)
        go.touch()
        _assert_nobody_noticed(machine, node, since, over)
