"""Processes as /proc shows them, for tests that count what is left."""

import os
import signal
from pathlib import Path


def cmdline(pid: int) -> str:
    """Empty if there is no such process, or it has ended."""
    return _read(pid, "cmdline").decode(errors="replace").replace("\0", " ").strip()


def children(pid: int) -> list[int]:
    return [int(word) for word in _read(pid, f"task/{pid}/children").split()]


def parent(pid: int) -> int:
    """0 if it is gone."""
    stat = _read(pid, "stat")
    return int(stat[stat.rindex(b")") + 2 :].split()[1]) if stat else 0


def descendants(pid: int) -> list[int]:
    """Everything below a process, as it is now."""
    return [found for child in children(pid) for found in (child, *descendants(child))]


def is_alive(pid: int) -> bool:
    return bool(cmdline(pid))


def environ(pid: int) -> list[bytes]:
    """NAME=VALUE, as it was started; empty if it is gone."""
    return _read(pid, "environ").split(b"\0")


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def kill(pid: int) -> None:
    """SIGKILL, if it is still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
