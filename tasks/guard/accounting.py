"""What an attempt has used: processor time and peak memory of its whole tree.

Processor time is added up as processes are reaped: the kernel counts into each what its own reaped children used, and the orphans come
to the guard. Peak memory is the largest sum seen while polling; a process that came and went between two polls counts by its own peak.
(Measured: `wait4` of the jobfile alone misses daemons and knows only the largest process.)
"""

import os
import resource
from dataclasses import dataclass
from typing import Protocol

#: How often memory is looked at, unless the look itself is dear.
POLL_S = 1.0
#: On a node with very many processes a look takes milliseconds: it may use this much of one processor.
MAX_SHARE = 0.002
_SLOWEST_POLL_S = 15.0


class Rusage(Protocol):
    """The fields of `struct_rusage` that count here."""

    ru_utime: float
    ru_stime: float
    #: Kilobytes.
    ru_maxrss: int


@dataclass(slots=True)
class Usage:
    """Sums of one attempt."""

    cpu_s: float = 0.0
    peak_bytes: int = 0

    def add_reaped(self, usage: "resource.struct_rusage | Rusage") -> None:
        """A process of the attempt has ended."""
        self.cpu_s += usage.ru_utime + usage.ru_stime
        self.peak_bytes = max(self.peak_bytes, usage.ru_maxrss * 1024)

    def see(self, rss_bytes: int) -> None:
        """The tree holds this much memory now."""
        self.peak_bytes = max(self.peak_bytes, rss_bytes)

    @property
    def max_rss_mb(self) -> float:
        return round(self.peak_bytes / (1 << 20), 1)


def next_poll_s(look_took_s: float) -> float:
    """How long to wait before the next look at memory."""
    return min(max(POLL_S, look_took_s / MAX_SHARE), _SLOWEST_POLL_S)


def next_exited() -> int | None:
    """The pid of a child that waits to be reaped; None if there is none now. It stays, so that it can be looked at first."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if found is None else found.si_pid
