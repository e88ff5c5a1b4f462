"""A node's last minutes: the warning, the grace, the end."""

import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from guard_node import GuardNode, wait_until

from tasks.guard.farewell import is_expected, warning_at
from tasks.guard.process import catches
from tasks.guard.settings import GuardSettings

USR2 = int(signal.SIGUSR2)
#: A program that saves when it is warned, below a shell that knows nothing of it.
PROGRAM = f"""#!/bin/bash
sleep 777 &
{sys.executable} -I -c '
import signal, sys, time
def save(*_):
    open("saved", "a").write("x")
    if len(sys.argv) > 1:
        sys.exit(int(sys.argv[1]))
signal.signal(signal.SIGUSR2, save)
open("up", "w").close()
time.sleep(777)
time.sleep(777)
' """
SETTINGS = GuardSettings(block="b", node="n", worker_argv=("w",), slots=1, log_file="/log")


def _up(node: GuardNode) -> None:
    wait_until((node.jobs / "up").exists)


def _run(node: GuardNode, text: str, grace_s: float = 5.0):
    return node.run(node.greeted(), text, checkpoint=USR2, grace_s=grace_s)


# -- when -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("started", "grace_s", "when"), [(0, 60, 940), (900, 60, 950), (900, 50, 950), (999, 60, 999.5), (1010, 60, 1000)])
def test_a_warning_comes_its_grace_before_the_end_but_not_in_the_first_half_of_an_attempt(started, grace_s, when):
    assert warning_at(started, 1000, grace_s) == when


def test_usr1_is_the_warning_of_the_known_end_if_that_is_as_near_as_it_says():
    known = replace(SETTINGS, deadline_unix=10_000.0, warned_s=90.0)
    assert is_expected(known, 10_000.0 - 120.0)
    assert not is_expected(known, 10_000.0 - 3600.0)
    assert not is_expected(replace(known, deadline_unix=None), 1.0)


def test_it_can_be_seen_which_signals_a_process_handles():
    before = signal.signal(signal.SIGUSR2, lambda *_: None)
    assert catches(os.getpid(), USR2)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    assert not catches(os.getpid(), USR2)
    signal.signal(signal.SIGUSR2, before)
    assert not catches(os.getpid(), USR2)
    assert not catches(1 << 22, USR2)


# -- at a known end ---------------------------------------------------------------------------------------------------------------------


def test_a_program_below_a_shell_without_a_trap_saves_and_nothing_else_of_the_jobfile_is_hit(tmp_path: Path):
    ends = time.time() + 3
    with GuardNode(tmp_path, deadline_unix=ends) as node:
        handle = _run(node, PROGRAM, grace_s=1.5)
        _up(node)
        wait_until((node.jobs / "saved").exists)
        assert ends - 2 < time.time() < ends
        ending = handle.wait(8)
        assert (ending.exit_code, ending.ended_for) == (None, "deadline")
        assert ending.ended_unix >= ends - 0.1
        assert (node.jobs / "saved").read_text() == "x"


def test_who_ends_after_the_warning_says_so_by_its_exit_code_and_is_not_ended_by_us(tmp_path: Path):
    with GuardNode(tmp_path, deadline_unix=time.time() + 4) as node:
        ending = _run(node, f"{PROGRAM} 75", grace_s=3.5).wait(8)
        assert (ending.exit_code, ending.ended_for) == (75, "warned")


def test_a_jobfile_without_a_handler_runs_on_to_the_last_moment(tmp_path: Path):
    ends = time.time() + 2
    with GuardNode(tmp_path, deadline_unix=ends) as node:
        ending = _run(node, "sleep 777", grace_s=60).wait(8)
        assert (ending.signal, ending.ended_for) == (15, "deadline")
        assert ending.ended_unix >= ends - 0.1


def test_near_the_end_the_worker_is_told_and_the_one_after_it_and_what_runs_goes_on(tmp_path: Path):
    now = time.time()
    with GuardNode(tmp_path, deadline_unix=now + 60, warn_unix=now + 1) as node:
        worker = node.greeted()
        handle = node.run(worker, "while [ ! -e go ]; do sleep 0.02; done")
        wait_until(lambda: worker.has_heard("leave", "deadline") or worker.has_heard("warn", "deadline"))
        assert not worker.has_heard("leave", "deadline")
        worker.kill()
        following = node.greeted()
        wait_until(lambda: following.has_heard("warn", "deadline"))
        (node.jobs / "go").touch()
        assert wait_until(lambda: not os.path.exists(f"/proc/{handle.pid}"))


# -- when somebody says it --------------------------------------------------------------------------------------------------------------


def test_an_unexpected_usr1_warns_and_the_end_comes_when_its_time_is_over(tmp_path: Path):
    with GuardNode(tmp_path, warned_s=1.5, deadline_unix=time.time() + 3600) as node:
        handle = _run(node, PROGRAM, grace_s=1.0)
        _up(node)
        began = time.time()
        node.process.send_signal(signal.SIGUSR1)
        ending = handle.wait(8)
        assert node.workers[0].has_heard("warn", "usr1")
        assert ending.ended_for == "deadline"
        assert ending.ended_unix - began >= 1.4
        assert (node.jobs / "saved").read_text() == "x"


def test_at_sigterm_a_jobfile_that_handles_the_warning_gets_a_part_of_what_is_left(tmp_path: Path):
    with GuardNode(tmp_path, leave_timeout_s=4) as node:
        handle = _run(node, PROGRAM, grace_s=60)
        _up(node)
        began = time.time()
        node.process.send_signal(signal.SIGTERM)
        ending = handle.wait(8)
        assert 1.5 <= ending.ended_unix - began < 3.5
        assert (ending.ended_for, (node.jobs / "saved").read_text()) == ("leave", "x")


def test_at_sigterm_a_jobfile_that_handles_no_warning_is_ended_at_once(tmp_path: Path):
    with GuardNode(tmp_path, leave_timeout_s=20) as node:
        handle = _run(node, "touch up; sleep 777", grace_s=60)
        _up(node)
        node.process.send_signal(signal.SIGTERM)
        ending = handle.wait(3)
        assert (ending.signal, ending.ended_for) == (15, "leave")
