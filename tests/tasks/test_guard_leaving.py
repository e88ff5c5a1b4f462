"""Deaths and farewells: of the worker, of the guard, of the block."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from guard_node import GuardNode, is_running, wait_until

from tasks.guard.clock import boottime
from tasks.guard.worker_process import back_off_s
from tasks.guard_client import GuardGone

#: A worker as the product's: it starts a jobfile through the client, and leaves it to the client to do what a guard's death asks for.
REAL_WORKER = """
import json, sys, threading
from tasks.guard_client import GuardClient, StartOrder
client = GuardClient(int(sys.argv[-1]))
if not client.hello().running:
    client.start(StartOrder(**json.loads(sys.argv[1])))
threading.Event().wait()
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[GuardNode]:
    with GuardNode(tmp_path) as node:
        yield node


def test_sigterm_ends_everything_tells_the_worker_and_exits_0(node: GuardNode) -> None:
    worker = node.greeted()
    text = "setsid sleep 777 &\ntrap 'echo warned; exit 4' TERM\ntouch $(basename $0).up\nwhile :; do sleep 0.02; done"
    first, second = node.run(worker, text), node.run(worker, text.replace("TERM", ""), name="b.sh")
    wait_until(lambda: (node.jobs / "a.sh.up").exists() and (node.jobs / "b.sh.up").exists())
    began = time.monotonic()
    node.process.send_signal(signal.SIGTERM)
    endings = [first.wait(8), second.wait(8)]
    assert ("leave", "term") in worker.news
    assert [(e.exit_code, e.signal, e.ended_for) for e in endings] == [(4, None, "leave"), (None, 15, "leave")]
    assert node.output() == "warned\n"
    worker.let_exit()
    assert node.process.wait(5) == 0
    assert time.monotonic() - began < 4


def test_a_worker_that_does_not_leave_is_killed(tmp_path: Path) -> None:
    with GuardNode(tmp_path, leave_timeout_s=0.5) as node:
        worker = node.greeted()
        node.process.send_signal(signal.SIGUSR1)
        assert node.process.wait(5) == 0
        assert ("leave", "usr1") in worker.news
        assert not is_running(worker.pid)


def test_the_guard_leaves_by_itself_when_its_block_ends(tmp_path: Path) -> None:
    with GuardNode(tmp_path, deadline_unix=time.time() + 0.7) as node:
        worker = node.greeted()
        ending = node.run(worker, "echo $NUNATAK_DEADLINE; sleep 777").wait(8)
        assert (ending.signal, ending.ended_for) == (15, "deadline")
        assert ("leave", "deadline") in worker.news
        worker.let_exit()
        assert node.process.wait(5) == 0


def test_nothing_is_started_by_a_guard_that_leaves(tmp_path: Path) -> None:
    with GuardNode(tmp_path, leave_timeout_s=2) as node:
        worker = node.greeted()
        node.process.send_signal(signal.SIGTERM)
        wait_until(lambda: worker.news)
        with pytest.raises(Exception, match="the node leaves"):
            node.run(worker, "exit 0").wait(8)


def test_a_worker_that_says_goodbye_takes_the_guard_with_it(node: GuardNode) -> None:
    worker = node.greeted()
    worker.client.goodbye()
    worker.let_exit()
    assert node.process.wait(5) == 0


def test_a_worker_s_death_costs_a_running_jobfile_nothing(node: GuardNode) -> None:
    worker = node.greeted()
    handle = node.run(worker, "while [ ! -e go ]; do sleep 0.02; done; echo done")
    handle.wait_started(8)
    worker.kill()
    again = node.greeted()
    assert again.welcome is not None
    (entry,) = again.welcome.running
    assert (entry.token, entry.id, entry.attempt, entry.blob, entry.state, entry.pid) == (
        handle.token,
        "7",
        1,
        {"any": "thing"},
        "running",
        handle.pid,
    )
    (node.jobs / "go").touch()
    assert again.client.adopt(handle.token).wait(8).exit_code == 0
    assert node.output() == "done\n"


def test_what_ended_without_a_worker_is_told_to_the_next_and_kept_until_it_is_settled(node: GuardNode) -> None:
    worker = node.greeted()
    handle = node.run(worker, "while [ ! -e go ]; do sleep 0.02; done; exit 6")
    handle.wait_started(8)
    worker.kill()
    (node.jobs / "go").touch()
    wait_until(lambda: handle.pid and not is_running(handle.pid))
    again = node.greeted()
    assert again.client.adopt(handle.token).wait(8).exit_code == 6
    again.client.forget(handle.token)
    again.kill()
    third = node.greeted()
    assert third.welcome is not None
    assert third.welcome.running == ()


def test_a_silent_worker_is_replaced_and_its_jobfile_goes_on(tmp_path: Path) -> None:
    with GuardNode(tmp_path, hello_timeout_s=0.6) as node:
        worker = node.greeted()
        handle = node.run(worker, "sleep 777")
        handle.wait_started(8)
        os.kill(worker.pid, signal.SIGSTOP)
        again = node.greeted()
        assert not is_running(worker.pid)
        assert again.client.adopt(handle.token).pid == handle.pid
        # It takes its closed line for what it is: the guard lives.
        wait_until(lambda: worker.has_heard("guard gone"))
        assert is_running(handle.pid or 0)


def test_workers_that_keep_dying_are_waited_for_longer_and_longer() -> None:
    assert [back_off_s(n) for n in range(10)] == [0.0, 0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 30.0, 30.0]


def test_when_the_guard_is_killed_its_worker_ends_every_process_and_itself(tmp_path: Path) -> None:
    with GuardNode(tmp_path) as plain:
        order = plain.order("setsid sleep 777 &\n(setsid sleep 777 &)\nenv -i sleep 777 &\ntouch up\nsleep 777", deadline=boottime() + 60)
        text = json.dumps(order.to_message())
    with GuardNode(tmp_path, worker_argv=[sys.executable, "-I", "-c", REAL_WORKER, text]) as node:
        wait_until((node.jobs / "up").exists)
        assert len(node.left()) >= 4
        node.process.kill()
        node.process.wait()
        wait_until(lambda: not node.left(), 2)


def test_the_jobfile_dies_with_its_guard_and_the_next_guard_ends_the_rest(tmp_path: Path) -> None:
    with GuardNode(tmp_path) as node:
        worker = node.greeted()
        handle = node.run(worker, "setsid sleep 777 &\necho $! > pid; echo $TMPDIR > tmpdir; touch up; sleep 777")
        wait_until((node.jobs / "up").exists)
        # As if the worker had died at the same moment: the client of the test does nothing.
        worker.client._handles.clear()
        node.process.kill()
        node.process.wait()
        wait_until(lambda: not is_running(handle.pid or 0), 2)
        left_behind = int((node.jobs / "pid").read_text())
        assert is_running(left_behind)
        with GuardNode(tmp_path) as following:
            following.greeted()
            assert not is_running(left_behind)
            assert not is_running(worker.pid)
            wait_until(lambda: not Path((node.jobs / "tmpdir").read_text().strip()).exists())


def test_two_guards_on_one_node_leave_each_other_alone(node: GuardNode, tmp_path: Path) -> None:
    handle = node.run(node.greeted(), "sleep 777")
    handle.wait_started(8)
    (tmp_path / "other").mkdir()
    with GuardNode(tmp_path / "other", tmp_root=str(tmp_path / "tmp")) as other:
        other.greeted()
    assert is_running(handle.pid or 0)
    assert len(os.listdir(tmp_path / "tmp")) == 1


def test_waiting_for_a_jobfile_of_a_dead_guard_ends_with_an_error(node: GuardNode) -> None:
    worker = node.greeted()
    handle = node.run(worker, "sleep 777")
    handle.wait_started(8)
    node.process.kill()
    node.process.wait()
    with pytest.raises(GuardGone):
        handle.wait(5)
    wait_until(lambda: worker.has_heard("guard gone"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"min_cpus": 100_000}, "may use"), ({"slotz": 3}, "did you mean 'slots'"), ({"log_file": "/no/such/log"}, "set log_file")],
)
def test_a_guard_that_cannot_do_its_work_says_why_and_exits_2(settings: dict[str, object], words: str, tmp_path: Path) -> None:
    values = {"block": "b", "node": "n", "slots": 1, "worker_argv": ["true"], "log_file": str(tmp_path / "log"), **settings}
    argv = [sys.executable, "-I", "-m", "tasks.guard", json.dumps(values)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert words in done.stderr
