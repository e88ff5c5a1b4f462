"""Forking children: clean signals, no descriptors of the guard's, dead when the guard is dead (if wanted)."""

import os
import signal
from collections.abc import Callable, Iterable
from typing import NoReturn

from tasks.guard import log
from tasks.guard.prctl import die_with_parent

#: More descriptors than this the guard does not have: a few per slot.
_HIGHEST_FD = 2048
#: What the guard's loop handles. (A few only: Python makes an enum member of every signal of a mask, at each call.)
HANDLED = (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD)
#: Ignored by Python itself (SIGPIPE, SIGXFSZ) or by whoever started us (SIGHUP under nohup); this alone outlives an exec.
_IGNORED = tuple(number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN)


def fork(run: Callable[[], object], *, keep: Iterable[int] = (), dies_with_guard: bool) -> int:
    """A child that calls `run`, which does not return if all goes well, and then exits with 127. Returns its pid.

    Of the open files it keeps 0, 1, 2 and `keep`. Raises OSError if the node has no room for another process.
    Signals stay blocked until the child has its own dispositions: the guard's handlers would write into the guard's own loop.
    """
    guard = os.getpid()
    kept = sorted(keep)
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        pid = os.fork()
        if pid == 0:
            _be_child(run, guard, kept, dies_with_guard)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return pid


def _be_child(run: Callable[[], object], guard: int, keep: list[int], dies_with_guard: bool) -> NoReturn:
    try:
        if dies_with_guard:
            die_with_parent(signal.SIGKILL)
            # It may have died before we asked to die with it.
            if os.getppid() != guard:
                os._exit(127)
        _close_all_but(keep)
        _reset_signals()
        run()
    except Exception:  # noqa: BLE001 - the top of a process
        log.exception("child.broke")
    finally:
        os._exit(127)


def _close_all_but(keep: list[int]) -> None:
    # Not left to exec: a child that hangs on a dead filesystem would hold the worker's socket open after the guard's death.
    first = 3
    for fd in keep:
        os.closerange(first, fd)
        first = fd + 1
    os.closerange(first, _HIGHEST_FD)


def _reset_signals() -> None:
    """As a fresh login has them."""
    signal.set_wakeup_fd(-1)
    for number in (*HANDLED, *_IGNORED):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
