"""Whether the broker provably stands still, so that nobody can take a jobfile away: then what runs may run on (LEASES rule 11).

Two kinds of silence look alike to a worker: the broker is down, or this node is cut off. The shared filesystem tells them apart, because
no server does anything without a fresh beat, and the supervisor writes the heartbeat file before each. A counter that has not moved for
three times as long as a beat stays fresh means that no verb can have been carried out since; even if a beat came this very moment, the
gap before it would make the server grant everybody a grace.
"""

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from broker.heartbeat import BadHeartbeat, read_heartbeat
from broker.holding import boottime
from broker.home import Home

log = logging.getLogger(__name__)

#: The counter must have stood still for this many times the time that a beat stays fresh: 180 s of 60 s.
_STILL_TIMES = 3
#: Reads within the time that a beat stays fresh: every 10 s of 60 s.
_READS = 6
#: A worker in contact checks this often that it sees the file move: a mount that shows old contents proves nothing.
_CHECK_EVERY_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Look:
    """One look at the heartbeat file, paired with a write beside it."""

    #: CLOCK_BOOTTIME before the file was opened.
    began: float
    counter: int
    #: This node's own file there was written and synced after the read: a cut client can read a cached file without an error.
    wrote: bool


class Stillness:
    """What a row of looks proves; no clock and no file of its own."""

    def __init__(self) -> None:
        self._counter: int | None = None
        #: When the present counter was first seen.
        self._since = 0.0
        self._heard: int | None = None
        #: The file was seen to follow the broker.
        self.follows = False

    def heard(self, counter: int) -> None:
        """The broker itself has said its counter: the file must be seen to have reached it before it can prove anything."""
        self._heard = counter
        if self._counter is not None and self._counter >= counter:
            self.follows = True

    def saw(self, look: Look) -> None:
        if self._counter is None or look.counter != self._counter:
            self._counter, self._since = look.counter, look.began
        if self._heard is not None and look.counter >= self._heard:
            self.follows = True

    def forget(self) -> None:
        """It could not be read or written: whatever was seen before proves nothing any more."""
        self._counter = None

    def distrust(self) -> None:
        """From now on the file must be seen to follow the broker again."""
        self.follows = False

    def proved_until(self, look: Look, fresh_s: float) -> float | None:
        """CLOCK_BOOTTIME until which jobfiles may run on, by this look; None if it proves nothing."""
        if not (self.follows and look.wrote and self._counter == look.counter):
            return None
        if look.began - self._since < _STILL_TIMES * fresh_s:
            return None
        return look.began + fresh_s


def look(home: Home, node: str) -> Look:
    """Read the heartbeat file and write this node's own beside it; raises OSError or BadHeartbeat, or hangs with its filesystem."""
    began = boottime()
    heartbeat = read_heartbeat(home)
    if heartbeat is None:
        raise BadHeartbeat(f"{home.heartbeat_file} is not there")
    _write_proof(home.heartbeat_dir / f"node-{node}", f"{heartbeat.counter} {began:.3f}")
    return Look(began=began, counter=heartbeat.counter, wrote=True)


def _write_proof(path: Path, text: str) -> None:
    """In place and always of one length: it needs no new block on a full filesystem."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(fd, text.ljust(63).encode() + b"\n", 0)
        os.fsync(fd)
    finally:
        os.close(fd)


class StillnessWatch:
    """A thread that looks while the broker is silent, and hands on each proof; nothing else waits for that filesystem."""

    def __init__(self, home: Home, node: str, on_proof: Callable[[float], None]) -> None:
        self._home = home
        self._node = node
        self._on_proof = on_proof
        self._stillness = Stillness()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._silent = False
        self._fresh_s: float | None = None
        self._checked_at: float | None = None
        self._complained = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="stillness", daemon=True).start()

    def contact(self, counter: int, fresh_s: float) -> None:
        """The broker has answered, with its last beat's counter and for how long a beat stays fresh."""
        with self._lock:
            self._stillness.heard(counter)
            due = not self._stillness.follows or self._checked_at is None or boottime() - self._checked_at > _CHECK_EVERY_S
            self._fresh_s, self._silent = fresh_s, False
        if due:
            self._wake.set()

    def silence(self) -> None:
        """The broker cannot be reached."""
        with self._lock:
            self._silent = True
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._pause_s())
            self._wake.clear()
            if self._fresh_s is not None:
                self.run_once(self._fresh_s)

    def _pause_s(self) -> float | None:
        return self._fresh_s / _READS if self._silent and self._fresh_s is not None else None

    def run_once(self, fresh_s: float) -> None:
        """One look; called again and again while the broker is silent."""
        try:
            seen = look(self._home, self._node)
        except (OSError, BadHeartbeat) as error:
            self._cannot_look(error)
            return
        self._complained = False
        with self._lock:
            if not self._silent:
                # In contact: only whether the file follows the broker.
                self._checked_at = seen.began
                self._stillness.distrust()
            self._stillness.saw(seen)
            until = self._stillness.proved_until(seen, fresh_s) if self._silent else None
        if until is not None:
            self._on_proof(until)

    def _cannot_look(self, error: Exception) -> None:
        with self._lock:
            self._stillness.forget()
        if not self._complained:
            log.warning("stillness.cannot_look error=%r", error)
        self._complained = True
