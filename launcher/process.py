"""Which process a local block is: a process id alone says too little, because ids are given out again."""

import json
import socket
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process for all time: no two have the same host, boot, id and start."""

    #: The host's name.
    host: str
    #: The kernel's id of this start of the machine.
    boot: str
    #: The process id; 0: not known yet.
    pid: int = 0
    #: The start in clock ticks since boot, field 22 of /proc/PID/stat (proc(5)); `exec` does not change it.
    started: int = 0

    def to_text(self) -> str:
        """For a record of texts."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """The process in this text; None if there is none."""
        return cls(**json.loads(text)) if text else None


@dataclass(frozen=True, kw_only=True)
class Stat:
    """What we need of /proc/PID/stat."""

    #: The process id.
    pid: int
    #: One letter: "Z" and "X" have ended.
    state: str
    #: The start in clock ticks since boot.
    started: int


def here(proc: Path = PROC) -> Process:
    """This host in this boot, no process yet."""
    boot = (proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return Process(host=socket.gethostname(), boot=boot)


def find(place: Process, pid: int, proc: Path = PROC) -> Process | None:
    """The process that has this id now; None if there is none."""
    stat = read_stat(proc / str(pid) / "stat")
    return replace(place, pid=stat.pid, started=stat.started) if stat else None


def is_alive(process: Process, proc: Path = PROC) -> bool:
    """Whether this very process runs; only for one of this host and boot."""
    stat = read_stat(proc / str(process.pid) / "stat")
    return stat is not None and stat.started == process.started and stat.state not in "ZX"


def read_stat(file: Path) -> Stat | None:
    """A stat file, the kernel's or a copy; None if it is not there or not whole."""
    try:
        return parse_stat(file.read_text(encoding="utf-8", errors="replace"))
    except (FileNotFoundError, ProcessLookupError):
        return None


def parse_stat(text: str) -> Stat | None:
    """The name in brackets may hold blanks and brackets itself, so what counts begins after the last one."""
    pid, _, _ = text.partition(" ")
    _, bracket, rest = text.rpartition(") ")
    fields = rest.split()
    if not bracket or len(fields) < 20 or not text.endswith("\n"):
        return None
    return Stat(pid=int(pid), state=fields[0], started=int(fields[19]))
