"""The worker of a node is killed: its jobfiles run on as if nothing had happened, and the next worker settles them."""

from broker.records import State


def test_jobfiles_outlive_their_worker_and_are_settled_by_the_next_one(machine, wait_until):
    machine.write_ticking("A", 4)
    machine.write_ticking("B", 5)
    machine.write_ticking("later", 0.5)
    machine.enqueue("--priority", "5")
    node = machine.start_node("w1")
    machine.wait_running("A", "B")
    before = {name: job.latest.started_at for name, job in machine.jobs().items()}
    first = node.kill_worker()
    wait_until(lambda: node.worker not in (None, first), 10, "the guard to start another worker")
    jobs = machine.wait_ended()
    for name in "AB":
        (run,) = machine.log.of(name)
        assert (run.attempt, len(run.pids), run.ended) == (1, 1, True)
        job = jobs[name]
        assert (job.deliveries, job.losses, job.latest.number, job.earlier) == (1, 0, 1, ())
        assert job.latest.started_at == before[name]
    assert "adopted=2" in node.words()
    machine.assert_all_done_and_none_twice_at_once(jobs)


def test_what_ends_while_there_is_no_worker_is_settled_by_the_next_one(machine, wait_until):
    go = machine.root / "go"
    machine.write_ticking("A", 0, before=f"until [ -e {go} ]; do sleep 0.05; done", after="say end; exit 3")
    machine.enqueue("--retries", "0")
    node = machine.start_node("w2")
    machine.wait_running("A")
    first = node.kill_worker()
    second = wait_until(lambda: node.worker not in (None, first) and node.worker, 10, "the guard to start another worker")
    # It is killed before it can say hello, and the third one comes a second later.
    assert node.kill_worker() == second
    go.touch()
    wait_until(lambda: machine.log.of("A")[0].ended, 0.9, "the jobfile to end while there is no worker")
    assert node.worker is None
    job = machine.wait_ended()["A"]
    assert (job.state, job.latest.exit_code, job.deliveries, job.latest.number) == (State.FAILED, 3, 1, 1)
    assert len(machine.log.of("A")) == 1
    machine.assert_nothing_left()
