"""Stopping, waking and ending every process of an attempt (LEASES rule 13).

`kill(-pgid)` would do for none of it: `timeout`, `set -m`, `setsid` and mpiexec leave the process group, and a shell that sees its child
stop goes on without it. So parents are stopped, and seen to be stopped, before their children; and woken after them.
"""

import signal
import time
from collections.abc import Callable, Iterable

from tasks.guard.process import Process, read_process, send
from tasks.guard.process_tree import Levels

#: Each look finds at most what the last one's processes forked before their signal came; more looks than this only a fork bomb needs.
MAX_LOOKS = 50
#: A running process notices its signal within microseconds, one that waits for a disk later: it cannot see its children stop, though.
_STOP_WAIT_S = 0.05
_POLL_S = 0.0005

Look = Callable[[], Levels]


def freeze(look: Look) -> int:
    """SIGSTOP to all, parents first, until a look finds nothing new. How many were stopped."""
    done: set[tuple[int, int]] = set()
    for _ in range(MAX_LOOKS):
        new = [[p for p in level if (p.pid, p.start) not in done] for level in look()]
        if not any(new):
            break
        for level in new:
            _stop(level)
        done |= {(p.pid, p.start) for level in new for p in level}
    return len(done)


def _stop(level: Iterable[Process]) -> None:
    sent = [p for p in level if not p.is_stopped and send(p, signal.SIGSTOP)]
    until = time.monotonic() + _STOP_WAIT_S
    while sent and time.monotonic() < until:
        sent = [p for p in sent if not _stands_still(p)]
        if sent:
            time.sleep(_POLL_S)


def _stands_still(process: Process) -> bool:
    now = read_process(process.pid)
    return now is None or now.start != process.start or now.state in "TtDZXx"


def stop_the_woken(levels: Levels) -> int:
    """Stop what runs in an attempt that should stand still: somebody else has woken it. How many did."""
    # Not those in D: a signal is pending there already, for when the kernel lets them go.
    return sum(send(p, signal.SIGSTOP) for level in levels for p in level if p.state in "RS")


def thaw(look: Look) -> None:
    """SIGCONT to all, children first and the shell last."""
    for level in reversed(look()):
        for process in level:
            send(process, signal.SIGCONT)


def ask_to_end(look: Look) -> int:
    """SIGTERM to all, and SIGCONT so that those which stand still can heed it. How many were asked."""
    processes = [p for level in look() for p in level]
    asked = sum(send(p, signal.SIGTERM) for p in processes)
    for process in processes:
        send(process, signal.SIGCONT)
    return asked


def kill(look: Look) -> int:
    """SIGKILL to all until a look finds nothing new: then every process is dead or about to be. How many were killed."""
    done: set[tuple[int, int]] = set()
    killed = 0
    for _ in range(MAX_LOOKS):
        new = [p for level in look() for p in level if (p.pid, p.start) not in done]
        if not new:
            break
        killed += sum(send(process, signal.SIGKILL) for process in new)
        done |= {(p.pid, p.start) for p in new}
    return killed
