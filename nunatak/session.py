"""The broker as a command uses it: found, or started, or started again where it may be."""

import logging
from dataclasses import dataclass

import redis

from broker.address import Address, read_address
from broker.client import open_client
from broker.errors import Unreachable
from broker.ledger import Ledger
from broker.scripts import Scripts
from broker.start import ensure_broker
from nunatak.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Broker:
    """A broker that answered; close its client when done."""

    client: "redis.Redis"
    scripts: Scripts
    ledger: Ledger
    address: Address
    #: This command started the server, or started it again.
    started_here: bool


def open_broker(settings: Settings, start: bool = True) -> Broker:
    """The user's broker. With `start`, a dead one is started again, and a first one is made; without, nothing is ever started.

    Raises Unreachable, or NoServer if no server program can be had.
    """
    before = read_address(settings.home)
    if start:
        address = ensure_broker(settings.home, settings.server, settings.lease)
    elif before is None:
        raise Unreachable(f"no broker was ever started in {settings.home.root}; enqueue-jobfiles DIR starts one")
    else:
        address = before
    client = open_client(settings.home)
    return Broker(
        client=client,
        scripts=Scripts(client),
        ledger=Ledger(client),
        address=address,
        started_here=before is None or _server(before) != _server(address),
    )


def find_broker(settings: Settings) -> Broker | None:
    """The broker if one runs, for what must not start any (`--dry-run`)."""
    try:
        return open_broker(settings, start=False)
    except Unreachable as error:
        log.info("broker.not_found reason=%s", error)
        return None


def _server(address: Address) -> tuple[str, int, float]:
    return address.host, address.server_pid, float(address.started_at)
