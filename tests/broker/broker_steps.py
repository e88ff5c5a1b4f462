"""Short forms of what tests do with a broker: start it, ask it, kill it, pretend that it is elsewhere."""

import dataclasses
import os
import signal
from collections.abc import Callable
from typing import Any

from servers import address_of, wait_until

from broker.address import Address, this_host, write_address
from broker.client import open_client
from broker.home import Home
from broker.settings import LeaseSettings, ServerSettings
from broker.start import ensure_broker

LEASE = LeaseSettings()
HERE = this_host()


def ensure(home: Home, **settings: Any) -> Address:
    return ensure_broker(home, ServerSettings(**settings), LEASE)


def get(home: Home, key: str) -> Any:
    client: Any = open_client(home)
    try:
        return client.get(key)
    finally:
        client.close()


def put(home: Home, key: str, value: str) -> None:
    client: Any = open_client(home)
    client.set(key, value)
    client.close()


def kill(pid: int, gone: Callable[[], object]) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not gone(), 5, f"{pid} to be gone")


def on_another_host(home: Home, **changes: Any) -> None:
    """As if the broker of the address file had been started on login9."""
    write_address(home, dataclasses.replace(address_of(home), host="login9", **changes))


