"""The two process attributes that Python has no function for; both are Linux's (prctl(2))."""

import ctypes
import os

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
# Loaded once, before the first fork: a child must not read a library from a filesystem that may hang.
_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}, {value}): {os.strerror(number)}")


def become_subreaper() -> None:
    """From now on every orphan among our descendants becomes our child, whatever session it made for itself."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(signal_number: int) -> None:
    """Get this signal when the thread that forked us ends. The caller checks getppid() afterwards: it may be dead already."""
    _prctl(_PR_SET_PDEATHSIG, signal_number)
