"""A supervisor in the test's own process, whose rounds are called one by one."""

import os
from typing import Any

from servers import wait_until

from broker import keys
from broker.beater import boottime
from broker.client import open_client
from broker.home import Home
from broker.minder import Minder
from broker.settings import LeaseSettings, ServerSettings
from broker.supervisor import Leave, Supervisor

LEASE = LeaseSettings()


class Clock:
    """CLOCK_BOOTTIME, and what the test adds to it."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return boottime() + self.ahead_s


class Scene:
    """A supervisor in this process with a real server of its own."""

    def __init__(self, home: Home, settings: ServerSettings | None = None) -> None:
        self.home = home
        self.clock = Clock()
        self.settings = settings or ServerSettings()
        self.minder = Minder(home, self.settings, clock=self.clock)
        self.minder.begin(None)
        self.supervisor = Supervisor(home, self.minder, self.settings, LEASE, clock=self.clock)
        self._client: Any = None

    @property
    def pid(self) -> int:
        assert self.minder.process is not None
        return self.minder.process.pid

    def beat(self) -> dict[str, str]:
        """The last beat in the server; the visitor who asks is gone afterwards."""
        client: Any = open_client(self.home)
        try:
            return dict(client.hgetall(keys.BEAT))
        finally:
            client.close()

    def after(self, seconds: float) -> Leave | None:
        self.clock.ahead_s += seconds
        return self.supervisor.run_once()

    def kill_server(self) -> None:
        killed = self.minder.process
        assert killed is not None
        os.kill(killed.pid, 9)
        wait_until(lambda: not killed.is_alive, 5, "the server to be gone")


