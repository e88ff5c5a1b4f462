"""A jobfile that takes its node down each time it runs is set aside, and takes nobody else with it."""

from broker.records import State


def test_a_jobfile_that_kills_its_guard_is_quarantined_and_the_others_are_done(machine, wait_until):
    machine.quicken(LEASE_MAX_LOSSES="2")
    machine.write_ticking("poison", 0.5, after="kill -9 ${NUNATAK_GUARD%%:*}; sleep 60")
    for name in ("long", "other", "third"):
        machine.write_ticking(name, 1.2)
    machine.enqueue()
    started = 0

    def ended() -> bool:
        nonlocal started
        if not machine.guard_lives():
            started += 1
            assert started <= 8, "nodes go down without end"
            machine.start_node(f"p{started}")
        return not {State.QUEUED, State.RUNNING} & set(machine.states().values())

    wait_until(ended, 60, "all to end")
    jobs = machine.jobs()
    poison = jobs.pop("poison")
    assert (poison.state, poison.losses, poison.latest.number) == (State.QUARANTINED, 2, 2)
    assert poison.latest.reason == "lost 2 times with its node or worker"
    assert [run.ended for run in machine.log.of("poison")] == [False, False]
    machine.assert_all_done_and_none_twice_at_once(jobs)
