"""The small child that forks jobfiles in the guard's place: what it makes is the guard's own; without it everything goes on."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from guard_node import FakeWorker, GuardNode, is_running, wait_until

from tasks.guard.process import all_pids, read_process


@pytest.fixture
def node(tmp_path: Path) -> Iterator[GuardNode]:
    with GuardNode(tmp_path) as node:
        yield node


@pytest.fixture
def worker(node: GuardNode) -> FakeWorker:
    return node.greeted()


def _spawner(node: GuardNode, worker: FakeWorker) -> int:
    """The first child that the guard forked."""
    children = {p.pid for p in map(read_process, all_pids()) if p and p.ppid == node.process.pid}
    return min(children - {worker.pid})


def test_a_jobfile_is_the_guards_own_child_and_dies_with_it(node: GuardNode, worker: FakeWorker) -> None:
    handle = node.run(worker, "sleep 60")
    handle.wait_started(8)
    assert handle.pid is not None
    process = read_process(handle.pid)
    assert process is not None
    assert process.ppid == node.process.pid
    spawner = _spawner(node, worker)
    os.kill(node.process.pid, signal.SIGKILL)
    wait_until(lambda: not is_running(process.pid) and not is_running(spawner))


def test_a_jobfile_finds_no_signal_ignored_or_blocked_and_no_descriptor_of_ours(node: GuardNode, worker: FakeWorker) -> None:
    assert node.run(worker, "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd | wc -l").wait(8).exit_code == 0
    blocked, ignored, descriptors = node.output().split("\n")[:3]
    # 32 and 33 are the C library's own: whoever started these tests may have left them ignored, and no program can undo that through it.
    settable = ~(1 << 31 | 1 << 32)
    assert int(blocked.split()[1], 16) & settable == int(ignored.split()[1], 16) & settable == 0
    # 0, 1, 2 and the listing's own.
    assert int(descriptors) == 4


def test_without_the_spawner_the_guard_forks_by_itself(node: GuardNode, worker: FakeWorker) -> None:
    assert node.run(worker, "exit 3").wait(8).exit_code == 3
    spawner = _spawner(node, worker)
    os.kill(spawner, signal.SIGKILL)
    wait_until(lambda: not is_running(spawner))
    for code in (4, 5):
        assert node.run(worker, f"exit {code}", name=f"{code}.sh").wait(8).exit_code == code


def test_a_spawner_that_comes_round_too_late_starts_nothing(node: GuardNode, worker: FakeWorker) -> None:
    """The guard has forked by itself by then: a second copy would run."""
    spawner = _spawner(node, worker)
    os.kill(spawner, signal.SIGSTOP)
    handle = node.run(worker, "echo ran >> ran; sleep 1")
    handle.wait_started(20)
    os.kill(spawner, signal.SIGCONT)
    wait_until(lambda: not is_running(spawner))
    assert handle.wait(8).exit_code == 0
    assert (node.jobs / "ran").read_text() == "ran\n"
    assert sorted(os.listdir(node.jobs)) == ["a.sh", "a.sh.out", "ran"], "nothing was rotated by a second start"
    assert "spawner.gone" in node.log.read_text()


def test_an_environment_larger_than_a_socket_takes_at_once_comes_through(node: GuardNode, worker: FakeWorker) -> None:
    large = {f"LARGE_{number}": "x" * 100_000 for number in range(8)}
    ending = node.run(worker, 'echo "${#LARGE_0} ${#LARGE_7}"', environ=large).wait(8)
    assert ending.exit_code == 0
    assert node.output() == "100000 100000\n"
