"""The ledger for commands that watch for long: after the broker was away, the next question opens a new connection."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

from broker.errors import Unreachable
from broker.ledger import Ledger
from nunatak.session import open_broker
from nunatak.settings import Settings

_T = TypeVar("_T")


class LastingLedger(ExitStack):
    """Asks the ledger; each question may raise Unreachable, and the next one finds the broker where it is by then."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._ledger: Ledger | None = None

    def ask(self, question: Callable[[Ledger], _T]) -> _T:
        try:
            return question(self._connected())
        except Unreachable:
            self._ledger = None
            self.close()
            raise

    def _connected(self) -> Ledger:
        if self._ledger is None:
            broker = open_broker(self._settings, start=True)
            self.callback(broker.client.close)
            self._ledger = broker.ledger
        return self._ledger
