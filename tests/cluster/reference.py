"""One process for good: its number and when it started, so that a number used again is never taken for it."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A process as the machine sees it."""

    pid: int
    #: Clock ticks from the machine's boot.
    started: int

    @classmethod
    def of(cls, pid: int) -> "Reference":
        """Raises ProcessLookupError if there is no such process."""
        fields = _stat(pid)
        if not fields:
            raise ProcessLookupError(f"no process {pid}")
        return cls(pid=pid, started=int(fields[19]))

    @property
    def alive(self) -> bool:
        fields = _stat(self.pid)
        return bool(fields) and int(fields[19]) == self.started and fields[0] not in "ZX"

    def send(self, number: signal.Signals) -> None:
        """Nothing if it has ended."""
        if self.alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def wait_gone(self, timeout_s: float = 20.0) -> None:
        end = time.monotonic() + timeout_s
        while self.alive:
            if time.monotonic() > end:
                raise TimeoutError(f"process {self.pid} has not ended in {timeout_s:g} s")
            time.sleep(0.005)
