"""One process as /proc shows it, and signals that reach no other process of the same number."""

import errno
import os
import signal
from collections.abc import Callable
from typing import NamedTuple

_PAGE = os.sysconf("SC_PAGE_SIZE")
_GONE = frozenset("ZXx")
_STOPPED = frozenset("Tt")


class Process(NamedTuple):
    """What /proc/PID/stat says (proc(5)). A number and a start time together are never used twice."""

    pid: int
    ppid: int
    session: int
    #: Clock ticks from boot to its start.
    start: int
    #: R, S, D, T, Z …
    state: str
    threads: int
    rss_bytes: int

    @property
    def is_gone(self) -> bool:
        """Nothing of it runs any more. (A main thread may have ended while others run on.)"""
        return self.state in _GONE and self.threads <= 1

    @property
    def is_stopped(self) -> bool:
        return self.state in _STOPPED


def parse_stat(raw: bytes) -> Process:
    """The name in it may hold blanks and brackets, so what counts begins after the last bracket."""
    pid = int(raw[: raw.index(b" ")])
    f = raw[raw.rindex(b")") + 2 :].split()
    return Process(pid, int(f[1]), int(f[3]), int(f[19]), f[0].decode(), int(f[17]), int(f[21]) * _PAGE)


def read_process(pid: int) -> Process | None:
    """None if there is no such process. Takes no lock that a process blocked on a dead filesystem could hold."""
    raw = _read(f"/proc/{pid}/stat")
    return parse_stat(raw) if raw else None


def all_pids() -> set[int]:
    return set(map(int, filter(str.isdigit, os.listdir("/proc"))))


def read_children(pid: int) -> set[int] | None:
    """The children of a process with one thread, dead ones included; None if this kernel does not tell.

    proc(5) calls the list unreliable: one may be skipped when an earlier one is taken off while it is read. Of one's own children none
    is, because that happens at one's own `wait`.
    """
    raw = _read(f"/proc/{pid}/task/{pid}/children", whole=True)
    return None if raw is None else set(map(int, raw.split()))


def read_environ(pid: int) -> dict[bytes, bytes]:
    """What it was started with; empty if it is gone or somebody else's.

    Unlike stat this can hang while the process holds its memory map on a dead filesystem: look only where it is needed, and once.
    """
    raw = _read(f"/proc/{pid}/environ", whole=True) or b""
    return dict(variable.split(b"=", 1) for variable in raw.split(b"\0") if b"=" in variable)


def catches(pid: int, signal_number: int) -> bool:
    """Whether a process has a handler for the signal; False too if nobody can tell."""
    raw = _read(f"/proc/{pid}/status", whole=True) or b""
    _, found, rest = raw.partition(b"\nSigCgt:")
    return bool(found) and bool(int(rest.split(b"\n", 1)[0], 16) >> (signal_number - 1) & 1)


def _read(path: str, *, whole: bool = False) -> bytes | None:
    """None if it is gone or not ours to look at; without `whole` a page of it, which a stat file never fills."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return b"".join(iter(lambda: os.read(fd, 1 << 16), b"")) if whole else os.read(fd, 4096)
    except OSError:  # ESRCH: it went while we looked.
        return None
    finally:
        os.close(fd)


def send(process: Process, signal_number: int) -> bool:
    """Whether the signal was sent: not if the process has gone or is not ours to signal."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError as error:
        return error.errno in (errno.ENOSYS, errno.EPERM) and _send_by_number(process, signal_number)
    try:
        return _is_the_same(process) and _deliver(lambda: signal.pidfd_send_signal(fd, signal_number))
    finally:
        os.close(fd)


def _send_by_number(process: Process, signal_number: int) -> bool:
    # Linux before 5.3 has no pidfd: the number may change hands between the look and the signal, in some microseconds.
    return _is_the_same(process) and _deliver(lambda: os.kill(process.pid, signal_number))


def _is_the_same(process: Process) -> bool:
    now = read_process(process.pid)
    return now is not None and now.start == process.start and not now.is_gone


def _deliver(kill: Callable[[], None]) -> bool:
    try:
        kill()
    except (ProcessLookupError, PermissionError):
        return False
    return True
