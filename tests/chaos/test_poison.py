"""A jobfile that takes its node down each time it runs is set aside, and takes nobody else with it."""

from broker.records import State

_KILLS_ITS_GUARD = "kill -9 ${NUNATAK_GUARD%%:*}; sleep 60"


def _start_nodes_until_all_have_ended(machine, wait_until):
    started = 0

    def ended() -> bool:
        nonlocal started
        if not machine.guard_lives():
            started += 1
            assert started <= 8, "nodes go down without end"
            machine.start_node(f"p{started}")
        return not {State.QUEUED, State.RUNNING} & set(machine.states().values())

    wait_until(ended, 60, "all to end")
    return machine.jobs()


def _assert_quarantined(machine, poison):
    assert (poison.state, poison.losses, poison.latest.number) == (State.QUARANTINED, 2, 2)
    assert poison.latest.reason == "lost 2 times with its node or worker"
    assert [run.ended for run in machine.log.of("poison")] == [False, False]


def test_a_jobfile_that_kills_its_guard_is_quarantined_and_the_others_are_done(machine, wait_until):
    machine.quicken(LEASE_MAX_LOSSES="2")
    machine.write_ticking("poison", 0.5, after=_KILLS_ITS_GUARD)
    for name in ("long", "other", "third", "with"):
        machine.write_ticking(name, 1.2)
    machine.enqueue()
    jobs = _start_nodes_until_all_have_ended(machine, wait_until)
    _assert_quarantined(machine, jobs.pop("poison"))
    # At most the one that ran beside it when it took its node down first.
    assert sum(job.losses for job in jobs.values()) <= 1, {name: job.losses for name, job in jobs.items()}
    machine.assert_all_done_and_none_twice_at_once(jobs)


def test_a_suspect_has_its_next_node_to_itself(machine, wait_until):
    machine.quicken(LEASE_MAX_LOSSES="2")
    machine.write_ticking("poison", 0.8, after=_KILLS_ITS_GUARD)
    machine.enqueue()
    node = machine.start_node("first")
    wait_until(lambda: node.process.poll() is not None, 20, "the jobfile to kill its guard")
    for name in ("fine", "good"):
        machine.write_ticking(name, 1.2)
    machine.enqueue()
    wait_until(lambda: machine.jobs()["poison"].losses == 1, 15, "its lease to run out")
    jobs = _start_nodes_until_all_have_ended(machine, wait_until)
    _assert_quarantined(machine, jobs.pop("poison"))
    assert [(job.losses, job.deliveries) for job in jobs.values()] == [(0, 1), (0, 1)]
    machine.assert_all_done_and_none_twice_at_once(jobs)
