"""How the broker is: for `nunatak broker status` and the doctor."""

from dataclasses import dataclass
from typing import Any

from broker import epoch as epochs
from broker.address import Address, read_address
from broker.client import answering
from broker.errors import BrokerError
from broker.home import Home
from broker.keys import BEAT
from broker.scripts import translated


@dataclass(frozen=True, kw_only=True)
class BrokerStatus:
    """What is known of the broker; everything but `address` is None, 0 or empty if it does not answer."""

    #: It answers with our password.
    running: bool
    #: The last known address; None: none was ever started.
    address: Address | None
    #: Why it is not running, in words; empty if it is.
    reason: str = ""
    #: The server's process, on `address.host`; 0 for an external server.
    pid: int = 0
    #: As the address file says; `beat_age_s` says whether it works.
    supervisor_pid: int = 0
    #: "valkey" or "redis".
    product: str = ""
    version: str = ""
    memory_bytes: int = 0
    #: The data on disk; 0 for an external server.
    aof_bytes: int = 0
    uptime_s: float = 0.0
    #: Seconds since the last beat by the server's clock; None: never. From 60 s on it refuses all work.
    beat_age_s: float | None = None


def broker_status(home: Home) -> BrokerStatus:
    """Never raises for a broker that is not there."""
    address = None
    try:
        address = read_address(home)
        if address is None:
            return BrokerStatus(running=False, address=None, reason="none was started yet: nunatak broker start")
        if address.is_stopped and address.is_wanted:
            why = f"it was stopped on {address.host} by a signal or at its job's end; any command that needs it starts it again"
            return BrokerStatus(running=False, address=address, reason=why)
        if address.is_stopped:
            return BrokerStatus(running=False, address=address, reason=f"it was stopped on {address.host}: nunatak broker start")
        return _ask(home, address)
    except (BrokerError, OSError) as error:
        return BrokerStatus(running=False, address=address, reason=str(error))


def _ask(home: Home, address: Address) -> BrokerStatus:
    client: Any = answering(home, address, 5.0)[1]
    try:
        with translated():
            info, beat_at, now = client.info(), client.hget(BEAT, "at"), client.time()
    finally:
        client.close()
    valkey = info.get("valkey_version")
    return BrokerStatus(
        running=True,
        address=address,
        pid=address.server_pid,
        supervisor_pid=address.supervisor_pid,
        product="valkey" if valkey else "redis",
        version=str(valkey or info["redis_version"]),
        memory_bytes=int(info["used_memory"]),
        aof_bytes=0 if address.url else epochs.size_bytes(home, address.epoch),
        uptime_s=float(info["uptime_in_seconds"]),
        beat_age_s=None if beat_at is None else now[0] + now[1] / 1e6 - int(beat_at) / 1000,
    )
