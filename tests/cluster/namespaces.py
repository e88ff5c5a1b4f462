"""The kernel's calls for namespaces and mounts, which Python 3.11 does not have."""

import ctypes
import os
from pathlib import Path

#: The namespaces that make a host, with the flag of each (linux/sched.h).
CLONE = {"mnt": 0x00020000, "uts": 0x04000000, "ipc": 0x08000000, "pid": 0x20000000, "net": 0x40000000}
BIND, REC, PRIVATE, RDONLY, REMOUNT, NOSUID, NODEV, NOEXEC = 4096, 16384, 1 << 18, 1, 32, 2, 4, 8

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _check(answer: int, what: str) -> None:
    if answer:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(*kinds: str) -> None:
    """New namespaces for this process; of kind `pid`, for its children."""
    _check(_libc.unshare(sum(CLONE[kind] for kind in kinds)), f"unshare {' '.join(kinds)}")


def enter(pid: int, *kinds: str) -> None:
    """The namespaces of another process, all opened before the first is entered: after that /proc is another."""
    opened = [(kind, os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)) for kind in kinds]
    for kind, descriptor in opened:
        _check(_libc.setns(descriptor, CLONE[kind]), f"setns {kind} of {pid}")
        os.close(descriptor)


def mount(source: str, target: str | Path, fstype: str | None = None, flags: int = 0, data: str | None = None) -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, target, fstype, data)]
    _check(_libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), f"mount {fstype or source} on {target}")


def die_with_parent(signal_number: int) -> None:
    """This process gets the signal when the thread that forked it ends; a change of user takes that back."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl")
