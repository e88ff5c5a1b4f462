"""Processes that are known by a word on their command line, so that a number used again by a stranger is never taken for ours."""

import os
import signal
import time
from pathlib import Path


def argv(pid: int) -> list[str]:
    """A process's arguments; empty if it is gone, a zombie, or not for us to see."""
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")[:-1]
    except OSError:
        return []


def is_running(pid: int, word: str) -> bool:
    """Whether the process exists and has `word` among its arguments."""
    return pid > 0 and word in argv(pid)


def find(word: str) -> list[int]:
    """Our processes on this host with `word` among their arguments, without children that were only forked off them."""
    found = {int(p.name) for p in Path("/proc").iterdir() if p.name.isdecimal() and _is_ours(p) and word in argv(int(p.name))}
    return sorted(pid for pid in found if parent(pid) not in found)


def parent(pid: int) -> int:
    """The parent's number; 0 if the process is gone."""
    try:
        # The name in parentheses may hold anything, blanks and parentheses too.
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.getuid()
    except OSError:
        return False


def send(pid: int, word: str, number: signal.Signals) -> bool:
    """Signal the process if it is still the one with `word`; whether it was."""
    if not is_running(pid, word):
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def wait_gone(pid: int, word: str, timeout_s: float) -> bool:
    """Wait for the process to end; whether it did."""
    end = time.monotonic() + timeout_s
    while is_running(pid, word):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
