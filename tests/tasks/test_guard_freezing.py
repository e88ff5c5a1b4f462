"""The dead-man's switch: what it stops, what wakes again, and what must never wake."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from guard_node import FakeWorker, GuardNode, wait_until

from tasks.guard.clock import boottime
from tasks.guard.process import Process, all_pids, read_environ, read_process
from tasks.guard_client import Handle

#: Every way out of a process group, and a shell that would notice a child that stops.
AWKWARD = """set -m
timeout 777 sh -c 'while [ ! -e go ]; do sleep 0.02; done; echo timeout' &
setsid sh -c 'while [ ! -e go ]; do sleep 0.02; done; echo setsid' &
(setsid sh -c 'while [ ! -e go ]; do sleep 0.02; done; echo orphan; touch orphan' &)
touch up
sh -c 'while [ ! -e go ]; do sleep 0.02; done; echo child'
echo "shell went on with $?"
wait
while [ ! -e orphan ]; do sleep 0.02; done
echo "shell ends"
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[GuardNode]:
    with GuardNode(tmp_path) as node:
        yield node


@pytest.fixture
def worker(node: GuardNode) -> FakeWorker:
    return node.greeted()


def processes_of(token: str) -> list[Process]:
    found = [p for p in map(read_process, all_pids()) if p and read_environ(p.pid).get(b"NUNATAK_TOKEN") == token.encode()]
    return [p for p in found if not p.is_gone]


def all_stand_still(handle: Handle) -> bool:
    return all(p.is_stopped for p in processes_of(handle.token))


def start_awkward(node: GuardNode, worker: FakeWorker, for_s: float = 0.6) -> Handle:
    handle = node.run(worker, AWKWARD, deadline=boottime() + for_s)
    wait_until((node.jobs / "up").exists)
    return handle


def freeze(node: GuardNode, worker: FakeWorker) -> Handle:
    handle = start_awkward(node, worker)
    wait_until(lambda: worker.has_heard("froze", handle.token, "deadline"))
    return handle


def test_at_its_deadline_every_process_of_a_jobfile_stands_still(node: GuardNode, worker: FakeWorker) -> None:
    handle = freeze(node, worker)
    assert len(processes_of(handle.token)) >= 6
    assert all_stand_still(handle)
    assert handle.is_frozen


def test_thawed_in_time_everything_goes_on_and_the_shell_has_noticed_nothing(node: GuardNode, worker: FakeWorker) -> None:
    handle = freeze(node, worker)
    (node.jobs / "go").touch()
    worker.client.thaw(handle.token, boottime() + 30)
    ending = handle.wait(8)
    assert (ending.exit_code, ending.escaped, ending.frozen_once) == (0, 0, True)
    assert sorted(node.output().splitlines()) == ["child", "orphan", "setsid", "shell ends", "shell went on with 0", "timeout"]
    assert (node.jobs / "a.sh.err").exists() is False
    assert worker.has_heard("thawed", handle.token)
    assert 0 < ending.frozen_s < ending.elapsed_s


def test_a_thaw_that_comes_too_late_wakes_nothing(node: GuardNode, worker: FakeWorker) -> None:
    handle = freeze(node, worker)
    worker.news.clear()
    worker.client.thaw(handle.token, boottime() - 0.01)
    wait_until(lambda: worker.has_heard("froze", handle.token, "deadline"))
    assert all_stand_still(handle)
    assert not worker.has_heard("thawed", handle.token)


def test_an_extended_deadline_keeps_it_running_and_wakes_nothing_that_is_frozen(node: GuardNode, worker: FakeWorker) -> None:
    handle = start_awkward(node, worker, 0.5)
    worker.client.extend(handle.token, boottime() + 1.0)
    other = node.run(worker, "sleep 0.7", name="b.sh")
    other.wait(8)
    assert not worker.news
    wait_until(lambda: worker.has_heard("froze", handle.token, "deadline"))
    worker.client.extend(handle.token, boottime() + 30)
    node.run(worker, "exit 0", name="b.sh").wait(8)
    assert all_stand_still(handle)


def test_what_somebody_else_wakes_is_stopped_again(node: GuardNode, worker: FakeWorker) -> None:
    handle = freeze(node, worker)

    woken = processes_of(handle.token)[0]
    os.kill(woken.pid, signal.SIGCONT)
    wait_until(lambda: all_stand_still(handle), 3)


def test_a_frozen_jobfile_that_is_ended_never_runs_again(node: GuardNode, worker: FakeWorker) -> None:
    handle = node.run(worker, "trap 'touch woken' TERM CONT\ntouch up\nwhile :; do sleep 0.02; done", deadline=boottime() + 0.4)
    wait_until(lambda: worker.has_heard("froze", handle.token, "deadline"))
    worker.client.end(handle.token, "lost", 2.0)
    ending = handle.wait(8)
    assert (ending.signal, ending.ended_for, ending.frozen_once) == (9, "lost", True)
    assert not (node.jobs / "woken").exists()


def test_a_jobfile_being_ended_is_not_frozen_but_killed_at_its_deadline(node: GuardNode, worker: FakeWorker) -> None:
    handle = node.run(worker, "trap '' TERM\ntouch up\nwhile :; do sleep 0.02; done", deadline=boottime() + 0.7)
    wait_until((node.jobs / "up").exists)
    worker.client.end(handle.token, "cancelled", 60)
    assert handle.wait(8).signal == 9
    assert not worker.news


def test_without_a_worker_the_switch_still_works(node: GuardNode, worker: FakeWorker) -> None:
    handle = start_awkward(node, worker, 1.0)
    worker.kill()
    again = node.worker()
    wait_until(lambda: all_stand_still(handle))
    (entry,) = again.hello().running
    assert entry.state == "frozen"
    (node.jobs / "go").touch()
    again.client.thaw(handle.token, boottime() + 30)
    assert again.client.adopt(handle.token).wait(8).exit_code == 0
