"""One jobfile under a guard: what it finds, how it ends, what is left of it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from guard_node import FakeWorker, GuardNode, wait_until

from tasks.guard.clock import boottime
from tasks.guard_client import StartFailed


@pytest.fixture
def node(tmp_path: Path) -> Iterator[GuardNode]:
    with GuardNode(tmp_path) as node:
        yield node


@pytest.fixture
def worker(node: GuardNode) -> FakeWorker:
    return node.greeted()


def test_a_new_guard_tells_its_worker_slots_and_names(worker: FakeWorker) -> None:
    assert worker.welcome is not None
    assert (worker.welcome.slots, worker.welcome.node, worker.welcome.block, worker.welcome.running) == (2, "n1", "b1", ())


def test_a_jobfile_that_ends_well_says_0_and_its_output_is_beside_it(node: GuardNode, worker: FakeWorker) -> None:
    ending = node.run(worker, "echo out; pwd").wait(8)
    assert (ending.exit_code, ending.signal, ending.ended_for, ending.escaped, ending.frozen_once) == (0, None, None, 0, False)
    assert node.output() == f"out\n{node.jobs}\n"


def test_an_exit_code_is_told_as_it_was(node: GuardNode, worker: FakeWorker) -> None:
    assert node.run(worker, "exit 7").wait(8).exit_code == 7


def test_a_jobfile_that_a_signal_ended_has_no_exit_code(node: GuardNode, worker: FakeWorker) -> None:
    ending = node.run(worker, "kill -SEGV $$").wait(8)
    assert (ending.exit_code, ending.signal) == (None, 11)


def test_the_processor_time_of_all_children_and_the_memory_of_the_whole_tree_are_counted(node: GuardNode, worker: FakeWorker) -> None:
    eater = "python3 -c 'import time; x = bytearray(60 << 20); time.sleep(1.6)' &\n"
    burner = "python3 -c 'import time\nwhile time.process_time() < 0.5: pass'\n"
    ending = node.run(worker, f"{eater}{eater}(setsid {burner})\nwait").wait(15)
    assert 180 > ending.max_rss_mb > 120, "two of 60 MB, each alone is less"
    assert 2.0 > ending.cpu_s > 0.5


def test_an_orphan_s_processor_time_is_counted_though_the_jobfile_never_waited_for_it(node: GuardNode, worker: FakeWorker) -> None:
    burner = "python3 -c 'import time\nwhile time.process_time() < 0.4: pass'"
    ending = node.run(worker, f"(setsid {burner} &)\nsleep 1.2").wait(15)
    assert ending.cpu_s > 0.4
    assert ending.escaped == 0


def test_whatever_a_jobfile_leaves_behind_is_ended_and_counted(node: GuardNode, worker: FakeWorker) -> None:
    ending = node.run(worker, "setsid sleep 777 &\n(setsid setsid sleep 777 &)\nset -m\ntimeout 777 sleep 777 &\nexit 3").wait(8)
    assert (ending.exit_code, ending.escaped) == (3, 4)
    assert node.left() == [worker.pid]


def test_an_escaped_process_without_any_mark_is_ended_too(node: GuardNode, worker: FakeWorker) -> None:
    pid_file = node.jobs / "pid"
    ending = node.run(worker, f"(env -i setsid sh -c 'echo $$ > {pid_file}; exec sleep 777' &)\nsleep 0.2").wait(8)
    assert ending.escaped == 1
    wait_until(lambda: not Path(f"/proc/{pid_file.read_text().strip()}").exists())


def test_a_child_that_ends_by_itself_right_after_the_jobfile_is_not_cut_off(node: GuardNode, worker: FakeWorker) -> None:
    ending = node.run(worker, "exec > >(sleep 0.2; cat)\necho last words").wait(8)
    assert ending.escaped == 0
    assert node.output() == "last words\n"


def test_two_jobfiles_do_not_take_each_other_s_processes(node: GuardNode, worker: FakeWorker) -> None:
    first = node.run(worker, "(setsid sleep 777 &)\nsleep 0.3")
    second = node.run(worker, "(setsid sleep 1 &)\nsleep 1.3", name="b.sh")
    assert first.wait(8).escaped == 1
    assert second.wait(8).escaped == 0


def test_the_result_record_is_on_disk_when_the_end_is_told_and_goes_when_it_is_settled(node: GuardNode, worker: FakeWorker) -> None:
    order = node.order("exit 5")
    ending = worker.client.start(order).wait(8)
    record = Path(order.record or "")
    body = json.loads(record.read_text())
    assert ending.recorded
    expected = {"id": "7", "attempt": 1, "token": order.token, "exit_code": 5, "signal": None, "ended_for": None}
    assert {name: body[name] for name in expected} == expected
    assert record.stat().st_mode & 0o777 == 0o600
    worker.client.forget(order.token)
    wait_until(lambda: not record.exists())


def test_a_record_that_cannot_be_written_does_not_hold_up_the_end(node: GuardNode, worker: FakeWorker) -> None:
    ending = node.run(worker, "exit 0", record=str(node.jobfile("", "no_folder") / "r.json")).wait(8)
    assert (ending.exit_code, ending.recorded) == (0, False)


def test_a_scribe_that_hangs_is_replaced_and_holds_up_nothing(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    with GuardNode(tmp_path, record_timeout_s=0.5) as node:
        worker = node.greeted()
        # Opening a pipe that nobody reads stands for a filesystem that does not answer.
        (tmp_path / "records" / "00").mkdir(parents=True)
        order = node.order("exit 0")
        os.mkfifo(pipe)
        os.symlink(pipe, f"{order.record}.{_scribe_pid(node, worker)}")
        assert worker.client.start(order).wait(8).recorded is False
        assert node.run(worker, "exit 0").wait(8).recorded is True


def _scribe_pid(node: GuardNode, worker: FakeWorker) -> int:
    from tasks.guard.process import all_pids, read_process

    children = {p.pid for p in map(read_process, all_pids()) if p and p.ppid == node.process.pid}
    _spawner, scribe = sorted(children - {worker.pid})
    return scribe


def test_an_empty_err_goes_and_one_with_words_stays(node: GuardNode, worker: FakeWorker) -> None:
    node.run(worker, "exit 1").wait(8)
    node.run(worker, "echo oh >&2", name="b.sh").wait(8)
    assert sorted(os.listdir(node.jobs)) == ["a.sh", "a.sh.out", "b.sh", "b.sh.err", "b.sh.out"]


def test_logs_of_earlier_attempts_are_kept_with_numbers(node: GuardNode, worker: FakeWorker) -> None:
    for attempt in (1, 2, 3):
        node.run(worker, f"echo {attempt}; [ {attempt} = 2 ] && echo e{attempt} >&2", attempt=attempt).wait(8)
    found = {name: (node.jobs / name).read_text() for name in os.listdir(node.jobs) if name != "a.sh"}
    assert found == {"a.sh.out.1": "1\n", "a.sh.out.2": "2\n", "a.sh.err.2": "e2\n", "a.sh.out": "3\n"}


def test_names_that_are_no_utf_8_do_as_well(node: GuardNode, worker: FakeWorker) -> None:
    name = os.fsdecode(b"r\xe9gion \xff.sh")
    assert node.run(worker, "echo yes", name=name).wait(8).exit_code == 0
    assert node.output(name) == "yes\n"


def test_a_temporary_folder_is_there_and_goes_with_all_that_is_in_it(node: GuardNode, worker: FakeWorker) -> None:
    node.run(worker, "stat -c %a $TMPDIR; cd $TMPDIR; mkdir -p a/b; touch a/b/c; pwd").wait(8)
    mode, folder = node.output().split()
    assert mode == "700"
    assert folder.startswith(str(node.folder / "tmp"))
    wait_until(lambda: not Path(folder).exists())


def test_a_jobfile_has_no_core_files_no_input_and_default_signals(node: GuardNode, worker: FakeWorker) -> None:
    text = "ulimit -c; cat; grep -E 'Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd; umask; cat /proc/self/oom_score_adj"
    node.run(worker, text, umask=0o027).wait(8)
    words = node.output().split()
    assert words[0] == "0"
    # Signals 32 and 33 are the C library's own: whoever starts the tests may have them blocked, and no program can unblock them.
    blocked, ignored = (int(mask, 16) & ~(3 << 31) for mask in words[2:5:2])
    assert blocked == ignored == 0
    assert words[5:] == ["0", "1", "2", "3", "0027", "500"], "3 is ls's own"


def test_a_vanished_directory_is_a_start_that_failed(node: GuardNode, worker: FakeWorker) -> None:
    handle = node.run(worker, "exit 0", cwd=str(node.folder / "gone"))
    with pytest.raises(StartFailed) as failure:
        handle.wait(8)
    assert (failure.value.stage, failure.value.errno) == ("directory", 2)
    assert "gone" in failure.value.message
    assert os.listdir(node.folder / "tmp") == []


def test_a_missing_interpreter_is_a_start_that_failed_and_leaves_no_logs(node: GuardNode, worker: FakeWorker) -> None:
    with pytest.raises(StartFailed, match="no/such"):
        node.run(worker, "exit 0", argv=("/no/such", "x")).wait(8)
    assert os.listdir(node.jobs) == ["a.sh"]


def test_logs_that_cannot_be_opened_are_a_start_that_failed(node: GuardNode, worker: FakeWorker) -> None:
    with pytest.raises(StartFailed) as failure:
        node.run(worker, "exit 0", stdout=str(node.folder / "gone" / "x.out")).wait(8)
    assert failure.value.stage == "logs"


def test_a_start_whose_deadline_has_passed_is_refused(node: GuardNode, worker: FakeWorker) -> None:
    with pytest.raises(StartFailed) as failure:
        node.run(worker, "touch ran", deadline=boottime() - 0.1).wait(8)
    assert failure.value.stage == "deadline"
    assert not (node.jobs / "ran").exists()


def test_a_start_that_hangs_until_its_deadline_is_given_up(node: GuardNode, worker: FakeWorker) -> None:
    # Opening a pipe that nobody reads stands for a filesystem that does not answer.
    os.mkfifo(node.jobs / "a.sh.out")
    order = node.order("touch ran", deadline=boottime() + 0.3)
    with pytest.raises(StartFailed) as failure:
        worker.client.start(order).wait(8)
    assert failure.value.stage == "deadline"
    wait_until(lambda: node.left() == [worker.pid])


def test_an_order_asked_twice_starts_one_jobfile(node: GuardNode, worker: FakeWorker) -> None:
    order = node.order("echo x >> ran; sleep 0.3")
    first, second = worker.client.start(order), worker.client.start(order)
    assert first is second
    first.wait(8)
    assert (node.jobs / "ran").read_text() == "x\n"


def test_an_end_is_a_warning_first_and_reaches_what_left_the_session(node: GuardNode, worker: FakeWorker) -> None:
    handle = node.run(worker, "trap 'echo asked; exit 9' TERM\nsetsid sleep 777 &\nset -m; timeout 777 sleep 777 &\ntouch up; wait")
    wait_until((node.jobs / "up").exists)
    worker.client.end(handle.token, "cancelled", 2.0)
    ending = handle.wait(8)
    assert (ending.exit_code, ending.ended_for, ending.escaped) == (9, "cancelled", 0)
    assert node.output() == "asked\n"
    assert node.left() == [worker.pid]


def test_what_does_not_heed_the_warning_is_killed(node: GuardNode, worker: FakeWorker) -> None:
    handle = node.run(worker, "trap '' TERM\ntouch up\nwhile :; do sleep 0.05; done")
    wait_until((node.jobs / "up").exists)
    worker.client.end(handle.token, "cancelled", 0.2)
    assert handle.wait(8).signal == 9
