"""A small child that forks jobfiles' starters in the guard's place, as the guard's own children.

A fork copies the page tables of whoever forks, who then takes a page fault for each page that it writes again: the guard, which has
grown, used 1.2 ms for each jobfile on that (benchmarks/README.md). So a child is set aside before the guard grows, and forks with
CLONE_PARENT (clone(2)): what it makes is the guard's child in every respect. `wait4` finds it, and its parent-death signal is bound to
the guard's life. The spawner touches no filesystem. A starter does nothing until it has the guard's word, so one whose pid was never
heard of runs nothing; without a spawner the guard forks by itself.
"""

import contextlib
import ctypes
import gc
import marshal
import os
import signal
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from tasks.guard import child, log
from tasks.guard.prctl import die_with_parent

Plan = Mapping[str, Any]

_CLONE_PARENT = 0x8000
#: clone(2) by machine; elsewhere the guard forks by itself.
_SYS_CLONE = {"x86_64": 56, "aarch64": 220}
#: Longer than any honest answer takes, on a node that is out of memory or processors.
_PATIENCE_S = 10
_LENGTH = struct.Struct("=Q")
_PID = struct.Struct("=q")
_FD = struct.Struct("=i")
_GO = b"g"
# With the interpreter's lock held: nothing of Python may run in the child before it is alone with it, and nothing else runs here.
_libc = ctypes.PyDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class Spawner:
    """The guard's side."""

    def __init__(self, become: Callable[[Plan, int], object]) -> None:
        """`become(plan, tell)` is a starter's life; it is called with the guard's word given. Raises OSError."""
        self._line: socket.socket | None = None
        self.pid: int | None = None
        number = _SYS_CLONE.get(os.uname().machine)
        if number is None:
            return
        ours, theirs = socket.socketpair()
        guard = os.getpid()
        self.pid = child.fork(lambda: _serve(theirs, number, guard, become), keep=[theirs.fileno()], dies_with_guard=True)
        theirs.close()
        patience = struct.pack("@ll", _PATIENCE_S, 0)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, option, patience)
        self._line = ours

    def spawn(self, plan: Plan) -> tuple[int, int] | None:
        """The starter's pid, and a descriptor that says nothing when its jobfile runs, else why not.

        None: there is no spawner (any more), and nothing was started. Raises OSError if the node has no room for a process.
        """
        if self._line is None:
            return None
        told, tell = socket.socketpair()
        with told:
            with tell:
                pid = self._ask(self._line, marshal.dumps(dict(plan)), tell.fileno())
            if pid is None:
                return None
            if pid < 0:
                raise OSError(-pid, os.strerror(-pid))
            told.send(_GO)
            told.setblocking(False)
            return pid, told.detach()

    def _ask(self, line: socket.socket, plan: bytes, tell: int) -> int | None:
        """Its answer; None if there is none: then it is never asked again, and what it may have made ends without the guard's word."""
        try:
            sent = line.sendmsg([_LENGTH.pack(len(plan)), plan], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, _FD.pack(tell))])
            if (rest := _LENGTH.size + len(plan) - sent) > 0:
                line.sendall(plan[-rest:])
            answer = line.recv(_PID.size)
        except OSError as error:
            answer = b""
            log.error("spawner.gone pid=%s error=%s", self.pid, error)
        if len(answer) == _PID.size:
            return int(_PID.unpack(answer)[0])
        self.dismiss()
        return None

    def dismiss(self) -> None:
        """It ends."""
        if self._line is not None:
            self._line.close()
            self._line = None


# -- the child ----------------------------------------------------------------------------------------------------------------------


def _serve(line: socket.socket, clone: int, guard: int, become: Callable[[Plan, int], object]) -> None:
    # What comes to the whole process group is the guard's to heed; a starter unblocks it.
    signal.pthread_sigmask(signal.SIG_BLOCK, child.HANDLED)
    gc.freeze()
    gc.disable()
    while (order := _next_order(line)) is not None:
        plan, tell = order
        pid = int(_libc.syscall(clone, _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0))
        if pid == 0:
            _start(line, guard, become, plan, tell)
        os.close(tell)
        line.send(_PID.pack(pid if pid > 0 else -ctypes.get_errno()))
    os._exit(0)


def _next_order(line: socket.socket) -> tuple[Plan, int] | None:
    """A plan, and the descriptor to tell of it; None: the guard has gone, or has given up."""
    data, ancillary, _, _ = line.recvmsg(1 << 16, socket.CMSG_SPACE(_FD.size), socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    (length,) = _LENGTH.unpack_from(data)
    end = _LENGTH.size + length
    while len(data) < end and (more := line.recv(1 << 20)):
        data += more
    if len(data) < end:
        return None
    return marshal.loads(memoryview(data)[_LENGTH.size :]), _FD.unpack(ancillary[0][2])[0]


def _start(line: socket.socket, guard: int, become: Callable[[Plan, int], object], plan: Plan, tell: int) -> NoReturn:
    try:
        die_with_parent(signal.SIGKILL)
        # It may have died before we asked to die with it.
        if os.getppid() == guard:
            line.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            if _has_word(tell):
                become(plan, tell)
    except Exception:  # noqa: BLE001 - the top of a process
        log.exception("child.broke")
    finally:
        os._exit(127)


def _has_word(tell: int) -> bool:
    """Wait for the guard's word; whether it has come."""
    with contextlib.suppress(OSError):
        return os.read(tell, 1) == _GO
    return False
