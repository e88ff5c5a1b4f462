"""A full disk: under the logs it is the jobfile's own failure, under the records nobody waits for it, under the broker all wait."""

import time

import pytest
import servers
from chaos.signs import OUTAGE, STUTTER_S, longest_pause, until
from chaos.tiny_disk import tiny_disk

from broker.records import State


def test_a_jobfile_that_cannot_write_its_log_fails_by_itself_and_a_quiet_one_is_done(machine):
    logs = machine.root / "small"
    logs.mkdir()
    with tiny_disk(logs, "64k") as disk:
        disk.fill()
        machine.write_ticking("loud", 0.2, after="head -c 4096 /dev/zero || exit 7")
        machine.write_ticking("quiet", 0.5)
        machine.enqueue("--retries", "0", "--logs", str(logs))
        machine.start_node("d1")
        jobs = machine.wait_ended()
        loud = jobs["loud"]
        assert (loud.state, loud.latest.exit_code, loud.losses, loud.deliveries) == (State.FAILED, 7, 0, 1)
        assert (jobs["quiet"].state, jobs["quiet"].latest.number) == (State.DONE, 1)

        disk.free()
        assert machine.call("retry", str(machine.folder / "qsub_loud.sh")).code == 0
        jobs = machine.wait_ended()
        assert [run.attempt for run in machine.log.of("loud")] == [1, 2]
        assert (logs / "qsub_loud.sh.out").stat().st_size == 4096
        machine.assert_all_done_and_none_twice_at_once(jobs)


def test_a_record_that_cannot_be_written_holds_up_no_settle(machine):
    for number in range(6):
        machine.write_ticking(f"A{number}", 0.2)
    machine.enqueue()
    with tiny_disk(machine.home.records_dir, "16k") as disk:
        disk.fill()
        node = machine.start_node("d2")
        jobs = machine.wait_ended()
        assert {job.deliveries for job in jobs.values()} == {1}
        assert node.words().count("scribe.failed") >= 6
        assert [p.name for p in disk.folder.rglob("*") if p.is_file()] == ["filler"]
        machine.assert_all_done_and_none_twice_at_once(jobs)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_with_the_brokers_own_disk_full_jobfiles_run_on_and_are_settled_when_there_is_room(machine, wait_until):
    machine.quicken(**OUTAGE)
    go = machine.root / "go"
    with tiny_disk(machine.home.root, "12m") as disk:
        try:
            for name in "ABCD":
                machine.write_ticking(name, 0.3, before=until(go if name == "A" else machine.root / f"go-{name}"))
            machine.enqueue()
            node = machine.start_node("d3")
            machine.wait_running("A", "B")
            disk.fill()
            full = time.time()
            (machine.root / "go-B").touch()
            wait_until(lambda: machine.log.of("B")[0].ended, 10, "B to end")
            # A server that must sync and cannot write ends itself; its supervisor tries again, with pauses that grow.
            wait_until(lambda: machine.home.server_log.exists() and time.time() > full + 8, 10, "more than a lease to pass")
            assert longest_pause(machine, "A", full, time.time()) < STUTTER_S
            disk.free()
            freed = time.time()
            for name in "CD":
                (machine.root / f"go-{name}").touch()
            go.touch()
            jobs = machine.wait_ended(60)
            assert longest_pause(machine, "A", full, min(freed, machine.log.of("A")[0].last)) < STUTTER_S
            assert {run.name: run.attempt for run in machine.log.runs()} == dict.fromkeys("ABCD", 1)
            assert len(machine.log.runs()) == 4
            assert {(job.deliveries, job.losses) for job in jobs.values()} == {(1, 0)}
            assert node.words().count("worker.started") == 1
            machine.assert_all_done_and_none_twice_at_once(jobs)
        finally:
            servers.kill_broker(machine.home)
            machine.close()
