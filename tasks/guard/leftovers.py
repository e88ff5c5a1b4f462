"""Ends what guards that are dead have left on this node: processes, found by the mark in their environment, and temporary folders."""

import contextlib
import os
import signal
import time
from collections.abc import Callable

from tasks.guard import log
from tasks.guard.process import Process, all_pids, read_environ, read_process, send
from tasks.guard.scribe import remove_folder

GUARD = b"NUNATAK_GUARD"
_NAMESPACE = "ns/pid"
_MAX_LOOKS = 50
_POLL_S = 0.02


def own_mark() -> str:
    """`PID:STARTTIME`, what a guard puts into the environment of all its children."""
    process = read_process(os.getpid())
    return f"{os.getpid()}:{process.start if process else 0}"


def is_alive(mark: str) -> bool:
    """Whether the guard of this mark lives. What is no mark counts as alive: nothing is ended that was not understood."""
    pid, _, start = mark.partition(":")
    if not (pid.isdigit() and start.isdigit()):
        return True
    process = read_process(int(pid))
    return process is not None and process.start == int(start) and not process.is_gone


def is_of_a_dead_guard(process: Process) -> bool:
    mark = read_environ(process.pid).get(GUARD)
    return mark is not None and not is_alive(mark.decode(errors="replace"))


def end_marked(is_meant: Callable[[Process], bool]) -> int:
    """SIGKILL to every process of ours, in this pid namespace, that is meant; until a look finds none alive. How many."""
    done: set[tuple[int, int]] = set()
    for _ in range(_MAX_LOOKS):
        found = [p for p in map(read_process, all_pids()) if p and _is_meant(p, is_meant)]
        if not found:
            break
        for process in found:
            if (process.pid, process.start) not in done and send(process, signal.SIGKILL):
                done.add((process.pid, process.start))
        time.sleep(_POLL_S)
    return len(done)


def _is_meant(process: Process, is_meant: Callable[[Process], bool]) -> bool:
    if process.is_gone or process.pid == os.getpid() or not _is_ours(process.pid):
        return False
    return is_meant(process)


def _is_ours(pid: int) -> bool:
    """Of this user, and of this pid namespace: in another the marks' numbers mean other processes."""
    with contextlib.suppress(OSError):
        return os.stat(f"/proc/{pid}").st_uid == os.getuid() and _namespace(pid) == _namespace(os.getpid())
    return False


def _namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/{_NAMESPACE}")


def clean_node(tmp_root: str) -> None:
    """What a starting guard does first (LEASES rule 15). It may hang at a process that holds its memory on a dead filesystem."""
    ended = end_marked(is_of_a_dead_guard)
    if ended:
        log.warning("leftovers.ended processes=%d", ended)
    try:
        names = os.listdir(tmp_root)
    except OSError as error:
        log.error("leftovers.no_tmp_root path=%s error=%s", tmp_root, error.strerror)
        return
    for name in names:
        if is_dead_folder(f"{tmp_root}/{name}"):
            remove_folder(f"{tmp_root}/{name}")


def tmpdir_name(mark: str) -> str:
    """`nunatak.NAMESPACE.PID.STARTTIME.RANDOM`, of the guard: unguessable enough for a sticky /tmp, and it says whose it is."""
    return f"nunatak.{_namespace_number()}.{mark.replace(':', '.')}.{os.urandom(4).hex()}"


def is_dead_folder(folder: str) -> bool:
    """Whether it is a temporary folder of ours that a guard made which is dead."""
    parts = os.path.basename(folder).split(".")
    if len(parts) != 5 or parts[0] != "nunatak" or parts[1] != str(_namespace_number()) or is_alive(f"{parts[2]}:{parts[3]}"):
        return False
    with contextlib.suppress(OSError):
        return os.lstat(folder).st_uid == os.getuid()
    return False


def _namespace_number() -> int:
    return os.stat("/proc/self/ns/pid").st_ino
