"""`nunatak broker serve`: keeps the broker on this host until it is told to go, or the broker is somewhere else.

It is what a batch job of the broker runs. A job has an end: some time before it the server is stopped in good order, and then any other
host takes over at once instead of watching the heartbeat stand still first (LEASES rule 9).
"""

import contextlib
import enum
import logging
import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from broker import address as addresses
from broker import process
from broker.address import Address, read_address
from broker.errors import BrokerError, Unreachable
from broker.home import Home
from broker.lock import SUPERVISOR
from broker.start import ensure_broker
from broker.stop import stop_broker, stop_here
from nunatak.settings import Settings

log = logging.getLogger(__name__)

#: How often it is looked whether the broker still lives here.
_LOOK_S = 2.0
#: How long a broker that lives elsewhere is left in peace.
_PATIENCE_S = 30.0
#: A broker that lives and cannot be reached from here cannot be moved: so long that is tried.
_GIVE_UP_S = 600.0
#: What a batch job gets before its end, and what a terminal sends.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


class Told(Exception):
    """A signal has come: it is time to go."""


class Place(enum.Enum):
    """Where the broker is, as the one sees it that serves it here."""

    HERE = "it lives here"
    CRASHED = "its supervisor on this host is gone"
    STOPPED = "somebody has stopped it, or it was idle for long"
    ELSEWHERE = "it lives on another host"


class Signals:
    """SIGTERM, SIGINT and SIGUSR1 end the waiting, and nothing else: what is half done is not torn."""

    def __enter__(self) -> Self:
        self._read, write = os.pipe()
        os.set_blocking(write, False)
        self._write, self._before = write, {number: signal.signal(number, self._heard) for number in _SIGNALS}
        return self

    def _heard(self, _number: int, _frame: object) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"x")

    def wait(self, seconds: float) -> None:
        """Wait so long; raises Told if a signal comes, or came before."""
        if select.select([self._read], [], [], seconds)[0]:
            raise Told

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._read)
        os.close(self._write)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How patient it is; the tests are less so."""

    look_s: float = _LOOK_S
    patience_s: float = _PATIENCE_S
    give_up_s: float = _GIVE_UP_S


def judge(address: Address | None, host: str, supervisor_lives: bool) -> Place:
    """Where the broker is. Nobody removes an address file but a user who stops an external server."""
    if address is None or address.is_stopped:
        return Place.STOPPED
    if address.host != host:
        return Place.ELSEWHERE
    return Place.HERE if supervisor_lives else Place.CRASHED


def serve(settings: Settings, *, move: bool, say: Callable[[str], None], timing: Timing | None = None) -> str:
    """Serve the broker here until it is over; returns why, in words. With `move` it is fetched from where it lives, else waited for.

    Raises Unreachable if it lives elsewhere and cannot be fetched, NoServer, BrokerError.
    """
    timing = timing or Timing()
    with Signals() as signals:
        try:
            _settle_here(settings, move, say, timing, signals)
            why = _watch(settings, say, timing, signals)
        except Told:
            why = "told to go"
            say("told to go: the broker stops here in good order; any command starts it again elsewhere")
            _stop(settings.home)
    log.info("serve.ends why=%r", why)
    return why


def _settle_here(settings: Settings, move: bool, say: Callable[[str], None], timing: Timing, signals: Signals) -> None:
    """Come back once the broker lives here."""
    since, host = time.monotonic(), addresses.this_host()
    while True:
        signals.wait(0)
        try:
            address = _ensure(settings, say, signals)
        except Unreachable as error:
            if move and time.monotonic() - since > timing.give_up_s:
                raise
            say(f"{error}")
            signals.wait(timing.patience_s)
            continue
        if address.host == host:
            log.info("serve.here epoch=%d port=%d", address.epoch, address.port)
            say(f"the broker lives here, on {host}, port {address.port}")
            return
        if move:
            say(f"the broker lives on {address.host}: it is stopped there and started here")
            stop_broker(settings.home, force=True)
        else:
            log.info("serve.waits host=%s", address.host)
            signals.wait(timing.patience_s)


def _ensure(settings: Settings, say: Callable[[str], None], signals: Signals) -> Address:
    """For other hosts: workers are elsewhere, always."""
    server = replace(settings.server, bind="all")
    return ensure_broker(settings.home, server, settings.lease, sleep=signals.wait, notice=say)


def _watch(settings: Settings, say: Callable[[str], None], timing: Timing, signals: Signals) -> str:
    """Stay while the broker lives here; its supervisor is started again if it dies. Returns why it is over."""
    while True:
        signals.wait(timing.look_s)
        place = _look(settings.home)
        if place in (Place.STOPPED, Place.ELSEWHERE):
            say(f"over: {place.value}")
            return str(place.value)
        if place is Place.CRASHED:
            log.warning("serve.supervisor_gone")
            try:
                address = _ensure(settings, say, signals)
            except BrokerError as error:
                say(f"{error}")
                continue
            if address.host != addresses.this_host():
                say(f"over: {Place.ELSEWHERE.value}")
                return str(Place.ELSEWHERE.value)


def _look(home: Home) -> Place:
    try:
        address = read_address(home)
    except Unreachable as error:  # the filesystem is away for a moment: the supervisor minds that by itself
        log.warning("serve.cannot_look error=%s", error)
        return Place.HERE
    lives = address is not None and process.is_running(address.supervisor_pid, SUPERVISOR)
    return judge(address, addresses.this_host(), lives)


def _stop(home: Home) -> None:
    """Stop what lives here and nothing else."""
    address = read_address(home)
    if address is not None and address.host == addresses.this_host() and not address.is_stopped:
        stop_here(home, address, wanted=True)
