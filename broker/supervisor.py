"""The small process that minds the server: it beats, takes lost jobfiles back, restarts what dies, and ends what nobody needs.

Started by broker/start.py as `python -I -m broker.supervisor PLAN`; needs nobody after that.
"""

import enum
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from broker import address as addresses
from broker import epoch as epochs
from broker import keys, old_records
from broker.beater import Beater, boottime
from broker.errors import BrokerError
from broker.heartbeat import BadHeartbeat
from broker.home import Home
from broker.ledger import Ledger
from broker.lock import SupervisorLock
from broker.minder import Minder
from broker.plan import Plan, Word, say
from broker.scripts import BATCH, Scripts, translated
from broker.settings import LeaseSettings, ServerSettings

log = logging.getLogger("broker.supervisor")

#: Field of the hash `beat`: the run id of a server that is to be stopped. After a restart it means nothing any more.
STOP_FIELD = "stop"
#: How often a dead server is looked for.
_LOOK_EVERY_S = 1.0
#: A beat that failed is tried again after this.
_AGAIN_S = 2.0
#: How often the age of the data is looked at.
_AGE_EVERY_S = 3600.0
#: Workers that died without a word are shown for a day.
_FORGET_WORKERS_S = 86400.0
#: A supervisor whose home was removed, or that only minds another host's server, gives up after this long without a beat.
_LONELY_S = 600.0
_LOG_BYTES = 1 << 20


class Leave(enum.Enum):
    """Why a supervisor ends."""

    #: It was told to by `broker stop`.
    TOLD = "told"
    #: It got SIGTERM or SIGINT: from `broker stop` on its host, which then says so itself, or from a host that ends its user's processes.
    SIGNALLED = "signalled"
    #: Another host has begun a later epoch, or the broker is another one now.
    SUPERSEDED = "superseded"
    #: Nothing waits or runs, no block lives and nobody came for a long time.
    IDLE = "idle"
    #: Another supervisor minds this server of another host, or it is gone for good; or the home was removed.
    NOT_NEEDED = "not needed"


class Every:
    """Something that is due at once and then every so often."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self.make_due()

    def make_due(self) -> None:
        self.next = float("-inf")

    def is_due(self, now: float) -> bool:
        """Whether it is time; if so, the next time is set."""
        if now < self.next:
            return False
        self.next = now + self._every_s
        return True


class Supervisor:
    """One `run_once` does what is due; nothing in here waits for time to pass."""

    def __init__(
        self, home: Home, minder: Minder, settings: ServerSettings, lease: LeaseSettings, *,
        clock: Callable[[], float] = boottime, wall: Callable[[], float] = time.time,
    ) -> None:
        self._home, self._minder, self._settings, self._lease = home, minder, settings, lease
        self._clock, self._wall = clock, wall
        self._beats, self._reaps = Every(lease.beat_every_s), Every(lease.reap_every_s)
        self._looks, self._ages = Every(_LOOK_EVERY_S), Every(_AGE_EVERY_S)
        self._beater = Beater(home, minder, lease, clock)
        self._contact_at = self._idle_since = clock()
        self._connections = -1

    def wait_s(self) -> float:
        """How long nothing is due."""
        return max(0.0, min(self._beats.next, self._reaps.next, self._looks.next) - self._clock())

    def run_once(self) -> Leave | None:
        """Do what is due; a reason once it is time to leave."""
        now = self._clock()
        if self._looks.is_due(now):
            self._look()
        if self._beats.is_due(now):
            leave = self._round(now)
            if leave is not None:
                return leave
        if self._reaps.is_due(now):
            self._attempt("reap.failed", self.reap)
        return None

    def _attempt(self, event: str, step: Callable[[], object]) -> bool:
        """Run a step; what can go wrong outside of us is logged, and the step comes round again."""
        try:
            step()
        except (BrokerError, OSError, BadHeartbeat) as error:
            log.warning("%s error=%s", event, error)
            self._minder.lost_contact()
            return False
        return True

    def _look(self) -> None:
        # Once a later epoch was begun, not even our own server may be started again.
        if self._minder.is_server_dead and not self._is_superseded():
            self._attempt("server.start_failed", self._restart)

    def _restart(self) -> None:
        if self._minder.restart():
            self._beats.make_due()
            self._reaps.make_due()

    def _is_superseded(self) -> bool:
        try:
            return self._minder.is_superseded()
        except (BrokerError, OSError) as error:
            log.warning("epoch.unreadable error=%s", error)
            return False

    def _round(self, now: float) -> Leave | None:
        """A beat, and what is looked at with it."""
        if self._is_superseded():
            return Leave.SUPERSEDED
        if not self._minder.owns_server and self._beater.is_done_by_another():
            return Leave.NOT_NEEDED
        if not self._attempt("beat.failed", self._beater.beat):
            if self._is_superseded():
                return Leave.SUPERSEDED
            self._beats.next = now + min(_AGAIN_S, self._lease.beat_every_s)
            return self._give_up(now)
        self._contact_at = now
        return self._look_around(now)

    def _give_up(self, now: float) -> Leave | None:
        """Our own server is never given up, unless its data was removed under it."""
        if now - self._contact_at <= _LONELY_S or (self._minder.owns_server and not _is_gone(self._home.root)):
            return None
        return Leave.NOT_NEEDED

    def reap(self) -> int:
        """Take back what nobody renewed; returns how many jobfiles wait again."""
        if not self._beater.has_beaten:
            return 0
        scripts, count, nodes = Scripts(self._minder.client), 0, set()
        while True:
            reaped = scripts.reap(BATCH)
            count += len(reaped)
            nodes |= {r.node for r in reaped}
            if len(reaped) < BATCH:
                break
        if count:
            log.info("lease.expired jobs=%d nodes=%s", count, ",".join(sorted(nodes)[:20]))
        return count

    # -- what else is looked at -----------------------------------------------------------------------------------------------------

    def _look_around(self, now: float) -> Leave | None:
        try:
            if self._told_to_stop():
                return Leave.TOLD
            if self._ages.is_due(now):
                Ledger(self._minder.client).drop_silent_workers(_FORGET_WORKERS_S)
                old_records.sweep(self._home, self._minder.client, _AGE_EVERY_S)
                self._keep_data_young()
            self._watch_idleness(now)
        except (BrokerError, OSError) as error:
            log.warning("round.failed error=%s", error)
            self._minder.lost_contact()
            return None
        return Leave.IDLE if now - self._idle_since >= self._settings.idle_stop_s else None

    def _told_to_stop(self) -> bool:
        client: Any = self._minder.client
        with translated():
            return bool(client.hget(keys.BEAT, STOP_FIELD) == self._beater.run_id)

    def _watch_idleness(self, now: float) -> None:
        """Push `_idle_since` on while anybody is here, has been since the last look, or anything is left to do."""
        client: Any = self._minder.client
        with translated():
            connections = int(client.info("stats")["total_connections_received"])
            others = len(client.client_list()) - 1
        came = connections != self._connections
        self._connections = connections
        if came or others > 0 or not Ledger(client).is_idle():
            self._idle_since = now

    def _keep_data_young(self) -> None:
        """Scratch filesystems purge what nobody touches: rewrite the AOF, and touch what is only read. Old epochs go."""
        if not self._minder.owns_server:
            return
        epochs.prune(self._home, self._minder.epoch)
        for path in self._home.password_file, self._home.address_file, self._home.config_file:
            if path.exists():
                os.utime(path)
        oldest = epochs.oldest_write_s(self._home, self._minder.epoch)
        if oldest is not None and self._wall() - oldest >= self._settings.rewrite_every_s:
            client: Any = self._minder.client
            with translated():
                client.bgrewriteaof()
            log.info("aof.rewritten age_s=%d", self._wall() - oldest)
        _rotate(self._home)

    def leave(self, why: Leave) -> None:
        """Stop what is ours, and say so in the address file."""
        log.info("supervisor.leaving why=%s", why.value)
        superseded = why is Leave.SUPERSEDED or self._is_superseded()
        if self._minder.stop(kill=superseded) and not superseded:
            self._attempt("address.unwritten", lambda: self._minder.write_stopped(wanted=why is Leave.SIGNALLED))


def _is_gone(folder: Path) -> bool:
    """Any other error proves nothing: a filesystem that is away comes back."""
    try:
        folder.stat()
    except OSError as error:
        return isinstance(error, FileNotFoundError)
    return False


def _rotate(home: Home) -> None:
    """The server opens its log for each line, so that it can be renamed under it."""
    path = home.server_log
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))


# -- the process ------------------------------------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    """`arguments`: one Plan as JSON. A first line on stdout tells the starter how it went; then stdout is closed."""
    plan = Plan.from_json(arguments[0])
    if os.fork() != 0:
        # Our child belongs to nobody now, and can get no terminal: it is no session's leader.
        os._exit(0)
    _log_into(plan.home)
    try:
        return _supervise(plan)
    except Exception as error:  # the top of the process: what it was is logged and told, then it ends
        log.exception("supervisor.failed")
        say(Word.FAILED, f"{type(error).__name__}: {error}")
        return 1


def _supervise(plan: Plan) -> int:
    wakeup = _wake_on_signals()
    lock = SupervisorLock(plan.home.supervisor_lock, addresses.this_host())
    if not lock.take():
        say(Word.BUSY, "another supervisor runs here")
        return 0
    minder = Minder(plan.home, plan.server)
    try:
        address = minder.begin(plan.still_at)
    except BrokerError as error:
        log.error("supervisor.refused error=%s", error)
        say(Word.REFUSED, str(error), type(error).__name__)
        return 3
    log.info("supervisor.started pid=%d epoch=%d server_pid=%d port=%d", os.getpid(), address.epoch, address.server_pid, address.port)
    say(Word.UP, "")
    supervisor = Supervisor(plan.home, minder, plan.server, plan.lease)
    supervisor.leave(_loop(supervisor, wakeup))
    return 0


def _loop(supervisor: Supervisor, wakeup: int) -> Leave:
    while True:
        leave = supervisor.run_once()
        if leave is not None:
            return leave
        if select.select([wakeup], [], [], supervisor.wait_s())[0]:
            return Leave.SIGNALLED


def _wake_on_signals() -> int:
    """A file that becomes readable at SIGTERM or SIGINT."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return read


def _log_into(home: Home) -> None:
    handler = RotatingFileHandler(home.supervisor_log, maxBytes=_LOG_BYTES, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
