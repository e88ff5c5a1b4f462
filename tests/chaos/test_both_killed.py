"""Guard and worker of a node are killed together, as by memory pressure: what escaped them is ended by the next guard of the node."""

import os
import signal

from whole.proc import cmdline, is_alive

from broker.records import State


def test_the_next_guard_of_the_node_ends_what_is_left_before_it_starts_anything(machine, wait_until):
    ticker = machine.log.ticker
    machine.write_ticking("A", 0.3, before=f"if [ $NUNATAK_ATTEMPT = 1 ]; then\nsetsid {ticker} A 600 &\nsleep 60\nfi")
    machine.write_ticking("B", 0.3, before="[ $NUNATAK_ATTEMPT = 1 ] && sleep 60")
    machine.enqueue()
    node = machine.start_node("n1")
    wait_until(lambda: machine.log.of("A") and len(machine.log.of("A")[0].pids) == 2, 20, "the escaped process to tick")
    machine.wait_running("A", "B")
    # The worker first: alone it would end what its guard leaves behind. Stopped, neither can do anything about the other.
    worker = node.worker
    os.kill(node.guard, signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    node.kill_guard()
    # The jobfiles themselves have died with their guard; what they had started could not.
    wait_until(lambda: not [words for words in machine.processes() if "qsub_" in words], 5, "the jobfiles to die with their guard")
    left = machine.pids()
    assert any("ticker A" in cmdline(pid) for pid in left)

    wait_until(lambda: set(machine.states().values()) == {State.QUEUED}, 15, "the leases to run out")
    machine.start_node("n2")
    jobs = machine.wait_ended()
    assert not any(is_alive(pid) for pid in left)
    assert {name: (job.latest.number, job.losses) for name, job in jobs.items()} == {"A": (2, 1), "B": (2, 1)}
    machine.assert_all_done_and_none_twice_at_once(jobs)
