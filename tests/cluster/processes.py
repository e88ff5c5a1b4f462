"""The processes on one host, as the machine sees them."""

import contextlib
import os
import signal
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cluster import user


@dataclass(frozen=True, kw_only=True)
class HostProcess:
    """A process on a host."""

    #: Its number on the machine: what `os.kill` of a test needs.
    pid: int
    #: Its number on the host.
    inside: int
    uid: int
    #: Its short name, as the kernel has it.
    name: str
    argv: tuple[str, ...]
    #: As in `ps`: R, S, D, T (stopped), Z (zombie).
    state: str

    def matches(self, account: str | None, name: str | None, word: str | None) -> bool:
        """None matches everything; a word, if it is in any argument."""
        if account is not None and self.uid != (user.UID if account == user.NAME else 0):
            return False
        return (name is None or self.name == name) and (word is None or any(word in argument for argument in self.argv))


def on_host(init: int) -> tuple[HostProcess, ...]:
    """All but the first, whose number is `init`; nested hosts are others."""
    space = os.readlink(f"/proc/{init}/ns/pid")
    found = []
    for place in Path("/proc").iterdir():
        # One may end while we look.
        if place.name.isdecimal() and int(place.name) != init:
            with contextlib.suppress(OSError):
                if os.readlink(place / "ns" / "pid") == space:
                    found.append(_read(place))
    return tuple(sorted(found, key=lambda process: process.inside))


def _read(place: Path) -> HostProcess:
    status = dict(line.split(":", 1) for line in (place / "status").read_text(errors="surrogateescape").splitlines())
    argv = os.fsdecode((place / "cmdline").read_bytes()).split("\0")[:-1]
    return HostProcess(
        pid=int(place.name), inside=int(status["NSpid"].split()[-1]), uid=int(status["Uid"].split()[0]), name=status["Name"].strip(),
        argv=tuple(argv), state=status["State"].split()[0],
    )  # fmt: skip


def stop_all(init: int) -> list[int]:
    """SIGSTOP to all but the first; those that this has stopped, and nobody else had before."""
    running = [process.pid for process in on_host(init) if process.state not in "TtZ"]
    for pid in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    return running


def continue_all(init: int, stopped: Collection[int]) -> None:
    """SIGCONT to those that are still there."""
    for pid in {process.pid for process in on_host(init)}.intersection(stopped):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
