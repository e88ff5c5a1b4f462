"""The broker as a command uses it: found, or started, or started again where it may be."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, TypeVar

import redis

from broker.address import Address, read_address
from broker.client import open_client
from broker.errors import Unreachable
from broker.ledger import Ledger
from broker.scripts import Scripts
from broker.start import ensure_broker
from nunatak.screen import say
from nunatak.settings import Settings

log = logging.getLogger(__name__)
_T = TypeVar("_T")
#: How often a question that must be answered finds the broker anew.
_TRIES = 3


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
        address = ensure_broker(settings.home, settings.server, settings.lease, notice=say)
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


def for_nodes(settings: Settings) -> Settings:
    """The same, with a broker that other hosts can reach: one that listens on this machine only is started again for all."""
    return replace(settings, server=replace(settings.server, bind="all"))


def _server(address: Address) -> tuple[str, int, float]:
    return address.host, address.server_pid, address.started_at


class Session:
    """A command's dealings with the broker: opened at the first question, found anew at the next one after it went away."""

    def __init__(self, settings: Settings, *, start: bool = True) -> None:
        self.settings = settings
        #: The broker did not run before; it is this command's to stop.
        self.started_here = False
        self._start = start
        self._opened_before = False
        self._broker: Broker | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def is_there(self) -> bool:
        """Whether there is a broker to ask; raises Unreachable if there should be one, and is not."""
        try:
            self._opened()
        except Unreachable as error:
            if self._start:
                raise
            log.info("session.no_broker reason=%r", str(error))
            return False
        return True

    def ask(self, question: Callable[[Broker], _T]) -> _T:
        """Ask once; raises Unreachable, and the next question finds the broker where it is by then."""
        try:
            return question(self._opened())
        except Unreachable:
            self.close()
            raise

    def insist(self, question: Callable[[Broker], _T]) -> _T:
        """Ask until there is an answer, a few times at most; for questions that may be repeated (LEASES rule 1)."""
        for _ in range(_TRIES - 1):
            try:
                return self.ask(question)
            except Unreachable as error:
                log.info("session.again reason=%r", str(error))
        return self.ask(question)

    def close(self) -> None:
        if self._broker is not None:
            self._broker.client.close()
            self._broker = None

    def _opened(self) -> Broker:
        if self._broker is None:
            self._broker = open_broker(self.settings, self._start)
            if not self._opened_before:
                self.started_here, self._opened_before = self._broker.started_here, True
        return self._broker
