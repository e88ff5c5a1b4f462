"""The beat: the supervisor's word that the server's time, the heartbeat file and the server were seen alive together (LEASES rule 7)."""

import logging
import os
import time
from collections.abc import Callable
from typing import Any

from broker import address as addresses
from broker import keys
from broker.errors import Unreachable
from broker.heartbeat import BadHeartbeat, Heartbeat, read_heartbeat, write_heartbeat
from broker.home import Home
from broker.minder import Minder
from broker.scripts import Scripts, translated
from broker.settings import LeaseSettings

log = logging.getLogger(__name__)

#: Clocks of server and supervisor further apart than this since the last beat: one of them was set, or stood still.
_DRIFT_S = 2.0


def boottime() -> float:
    """Seconds since boot, suspensions included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def clocks_drift(server: tuple[float, float], ours: tuple[float, float]) -> bool:
    """Whether two clocks, each read at the last beat and now, went apart."""
    return abs((server[1] - server[0]) - (ours[1] - ours[0])) > _DRIFT_S


class Beater:
    """Beats, and remembers the last one."""

    def __init__(self, home: Home, minder: Minder, lease: LeaseSettings, clock: Callable[[], float] = boottime) -> None:
        self._home, self._minder, self._lease, self._clock = home, minder, lease, clock
        self._writer = f"{addresses.this_host()}:{os.getpid()}"
        #: Server's time and our clock at the last beat.
        self._times: tuple[float, float] | None = None
        self._counter = -1
        #: The server process that was beaten last.
        self.run_id = ""

    @property
    def has_beaten(self) -> bool:
        return self._times is not None

    def beat(self) -> None:
        """The server's time, then the file, then the server. Raises BrokerError, OSError: then there was no beat."""
        client: Any = self._minder.client
        run_id, server_s, ours_s = self._read_clocks(client)
        drift = self._times is not None and clocks_drift((self._times[0], server_s), (self._times[1], ours_s))
        counter = self._next_counter(client)
        write_heartbeat(self._home, Heartbeat(counter=counter, epoch=self._minder.epoch, writer=self._writer))
        # After the file is written and not before: see epoch.begin.
        if self._minder.is_superseded():
            raise Unreachable(f"a later broker than that of epoch {self._minder.epoch} was begun")
        answer = Scripts(client).beat(int(server_s * 1000), counter, self._minder.epoch, run_id, drift, self._lease)
        self._times, self._counter = (server_s, ours_s), counter
        if run_id != self.run_id or answer.gap:
            log.info("beat.gap run_id=%s drift=%s counter=%d grace_until_ms=%d", run_id, drift, counter, answer.grace_until_ms)
            self.run_id = run_id

    def _read_clocks(self, client: Any) -> tuple[str, float, float]:
        """The server's run id and time, and our clock at the same moment."""
        with translated():
            run_id = str(client.info("server")["run_id"])
            before = self._clock()
            seconds, micros = client.time()
            return run_id, int(seconds) + int(micros) / 1e6, (before + self._clock()) / 2

    def _next_counter(self, client: Any) -> int:
        """Greater than any before, whoever wrote it."""
        try:
            found = read_heartbeat(self._home)
        except BadHeartbeat as error:
            log.warning("heartbeat.torn error=%s", error)
            found = None
        with translated():
            in_server = int(client.hget(keys.BEAT, "counter") or 0)
        return max(found.counter if found else 0, in_server, self._counter) + 1

    def is_done_by_another(self) -> bool:
        """Whether another supervisor has beaten since we did."""
        if self._counter < 0:
            return False
        try:
            found = read_heartbeat(self._home)
        except (OSError, BadHeartbeat):
            return False
        return found is not None and found.counter > self._counter and found.writer != self._writer
