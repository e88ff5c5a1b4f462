"""The guard of a node is killed: nothing of its jobfiles may live on unowned, and they run once more when their leases have ended."""

import time

from whole.proc import cmdline

from broker.records import State

#: Ways out of a process group, a session, and the jobfile's own children; each leaves a `ticker` that would run for a minute.
_WAYS_OUT = {
    "plain": "{ticker} plain 600 &",
    "setsid": "setsid {ticker} setsid 600 &",
    "timeout": "timeout 60 {ticker} timeout 600 &",
    "jobs": "set -m\n{ticker} jobs 600 &\nset +m",
    "daemon": "( setsid {ticker} daemon 600 & )",
}


def test_what_a_dead_guards_jobfiles_have_started_is_ended_too_and_they_run_once_more_after_their_leases(machine, wait_until):
    for name, way in _WAYS_OUT.items():
        # At the second attempt it does its work and leaves nothing behind.
        machine.write_ticking(name, 0.3, before=f"if [ $NUNATAK_ATTEMPT = 1 ]; then\n{way.format(ticker=machine.log.ticker)}\nsleep 60\nfi")
    machine.enqueue()
    node = machine.start_node("g1", slots=len(_WAYS_OUT))
    wait_until(lambda: {r.name for r in machine.log.runs() if len(r.pids) > 1} == set(_WAYS_OUT), 20, "every ticker to tick")
    machine.wait_running(*_WAYS_OUT)
    running = machine.pids()
    assert sum("ticker" in cmdline(pid) for pid in running) >= len(_WAYS_OUT)

    killed = time.time()
    node.kill_guard()
    wait_until(lambda: not machine.processes(), 2, "everything of the dead guard's to end; worker and jobfiles")
    assert max(run.last for run in machine.log.runs()) < killed + 2

    # Nobody tells the broker, and nobody needs to.
    wait_until(lambda: set(machine.states().values()) == {State.QUEUED}, 15, "the leases to run out")
    waited = time.time() - killed
    assert waited > 2.5, "a lease of 4 s, renewed every half second, has not run out by now"
    machine.start_node("g2")
    jobs = machine.wait_ended()
    for name in _WAYS_OUT:
        assert [run.attempt for run in machine.log.of(name)] == [1, 2]
        job = jobs[name]
        assert (job.deliveries, job.losses, job.failures, job.latest.number) == (2, 1, 0, 2)
        assert [(a.ending, a.reason, a.block) for a in job.earlier] == [("lost", f"lost with {job.latest.node}", "g1")]
    machine.assert_all_done_and_none_twice_at_once(jobs)


def test_a_run_goes_on_by_itself_when_its_guard_is_killed(machine, wait_until):
    for name in "AB":
        machine.write_ticking(name, 2)
    child = machine.start()
    wait_until(lambda: len(machine.log.runs()) == 2, 30, "both to run")
    machine.kill_guards()
    _, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert " died: " in err
    jobs = machine.jobs_of_a_stopped_broker()
    assert {name: job.latest.number for name, job in jobs.items()} == {"A": 2, "B": 2}
    machine.assert_all_done_and_none_twice_at_once(jobs)
