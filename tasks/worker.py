"""The worker process of a node: a Celery worker with slots as threads, under the guard that owns the jobfiles' processes.

    python -I -m tasks.worker SETTINGS_JSON --guard-fd N
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from celery.worker import state as celery_state

from broker.claim import Claim
from broker.client import open_client
from broker.holding import NodeLimits, boottime
from broker.holdings import Holdings
from broker.home import Home
from broker.lease import Holder, Leases
from broker.renewer import Renewer
from broker.scripts import Scripts
from broker.stillness import StillnessWatch
from tasks.app import make_app, register
from tasks.celery_worker import CeleryConsumer, CeleryWorker
from tasks.ending import EndedFor
from tasks.guard_client import Callbacks, GuardClient, Welcome
from tasks.leaving import Standing, reason_to_leave, state_of
from tasks.run import Runner
from tasks.settings import WorkerSettings

log = logging.getLogger(__name__)

#: How often Flower is told that the worker lives; Celery's 2 s are 2,500 messages a second with 5,000 workers.
_HEARTBEAT_S = 30
#: Each writes a line or two per jobfile, which `lease.settled` says again.
_TALKATIVE = ("celery.worker.strategy", "celery.app.trace")
#: A claim that no task body has begun after this long runs nowhere: it is given back.
_STRAY_S = 60.0
#: A Celery loop that has not turned for this long, while the renewer has its answers, will not turn again.
_HUNG_S = 600.0
#: How long a leaving worker may take to hand back and settle before it goes all the same; its leases then run out.
_LEAVE_S = 15.0


class GuardWatcher:
    """The broker's word on a claim, or its silence, handed on to the guard."""

    def __init__(self, guard: GuardClient, holdings: Holdings, home: Home, node: str) -> None:
        self.guard = guard
        self.holdings = holdings
        self.frozen: set[str] = set()
        self.stillness = StillnessWatch(home, node, self.run_on)

    def extended(self, token: str, deadline: float) -> None:
        if token in self.frozen:
            self.guard.thaw(token, deadline)
        else:
            self.guard.extend(token, deadline)

    def froze(self, token: str, _why: str) -> None:
        """The guard's own word; if the broker was heard of at that very moment, the jobfile goes on."""
        self.frozen.add(token)
        deadline = self.holdings.deadline(token)
        if deadline is not None and deadline > boottime():
            self.guard.thaw(token, deadline)

    def thawed(self, token: str) -> None:
        self.frozen.discard(token)

    def run_on(self, until: float) -> None:
        """The broker provably stands still."""
        for token in self.holdings.run_on(until):
            self.guard.extend(token, until)

    def contact(self, counter: int, fresh_s: float) -> None:
        self.stillness.contact(counter, fresh_s)

    def silence(self) -> None:
        self.stillness.silence()

    def taken_back(self, token: str, deadline: float) -> None:
        self.guard.thaw(token, deadline)

    def lost(self, token: str) -> None:
        # At once: somebody else has started it.
        self.guard.end(token, EndedFor.LOST.value, grace_s=0.0)

    def cancelled(self, token: str) -> None:
        self.guard.end(token, EndedFor.CANCEL.value)

    def settled(self, token: str) -> None:
        self.frozen.discard(token)
        self.guard.forget(token)


class NodeWorker:
    """Everything of one worker process, put together."""

    def __init__(self, settings: WorkerSettings, guard_fd: int) -> None:
        self.settings = settings
        self.home = Home(Path(settings.home))
        self.holdings = Holdings(NodeLimits(slots=settings.slots, deadline_unix=settings.deadline_unix, campaigns=settings.campaigns))
        self.holder = Holder(worker=f"{settings.block}.{settings.node}", node=settings.node, block=settings.block)
        callbacks = Callbacks(
            on_leave=self.leave,
            on_warned=self.warned,
            on_froze=lambda token, why: self.watcher.froze(token, why),
            on_thawed=lambda token: self.watcher.thawed(token),
            on_guard_gone=_end_with_the_guard,
        )
        self.guard = GuardClient(guard_fd, callbacks)
        self.watcher = GuardWatcher(self.guard, self.holdings, self.home, settings.node)
        self.renewer = Renewer(self.holdings, self.holder, self.watcher, self._connect, self._describe)
        self._leaving = threading.Event()
        self._warned = False
        #: The broker's last word on claiming that was logged.
        self._heard: tuple[str, str] | None = None

    def _connect(self) -> Leases:
        return Leases(Scripts(open_client(self.home)))

    def _describe(self) -> dict[str, object]:
        settings = self.settings
        return {
            "node": settings.node,
            "block": settings.block,
            "site": settings.site,
            "pid": os.getpid(),
            "guard_pid": os.getppid(),
            "slots": settings.slots,
            "running": self.holdings.running,
            "frozen": len(self.watcher.frozen),
            "state": state_of(self.holdings.told, leaving=self.holdings.draining),
        }

    def work(self) -> None:
        """Run until the node leaves."""
        self._adopt(self.guard.hello())
        app = make_app(self.home, {"holdings": self.holdings, "holder": self.holder})
        runner = Runner(self.settings, self.holdings, self.guard, renew_now=self.renewer.hurry, tell_soon=self.renewer.soon)
        register(app, runner.run)
        self.renewer.start()
        self.watcher.stillness.start()
        threading.Thread(target=self._watch, name="leaver", daemon=True).start()
        log.info("worker.start block=%s node=%s slots=%d adopted=%d", self.settings.block, self.settings.node, self.settings.slots,
                 len(self.holdings.adopted))  # fmt: skip
        CeleryWorker(
            app=app,
            hostname=f"{self.settings.block}@{self.settings.node}",
            pool="threads",
            consumer_cls=CeleryConsumer,
            concurrency=self.settings.slots,
            loglevel="INFO",
            quiet=True,
            # Gossip is N²; mingle asks all the others at each start.
            without_gossip=True,
            without_mingle=True,
            heartbeat_interval=_HEARTBEAT_S,
        ).start()
        self._finish()

    def _adopt(self, welcome: Welcome) -> None:
        """Carry on with what an earlier worker of this node left running (LEASES rule 16)."""
        for entry in welcome.running:
            if entry.state == "frozen":
                # Said to the worker before us: the next renewal thaws it.
                self.watcher.frozen.add(entry.token)
            self.holdings.adopt(Claim.from_blob(entry.blob), entry.started_boottime)

    # -- leaving --------------------------------------------------------------------------------------------------------------------

    def leave(self, why: str) -> None:
        """Claim nothing more; the guard ends what runs, and its task bodies hand it back."""
        log.info("worker.leave why=%s running=%d", why, self.holdings.running)
        self.holdings.drain()
        self._leaving.set()

    def warned(self, why: str) -> None:
        """The node's end is near: claim nothing more, and leave when what runs has ended."""
        log.info("worker.warned why=%s running=%d", why, self.holdings.running)
        self.holdings.drain()
        self._warned = True
        self.renewer.soon()

    def _watch(self) -> None:
        while not self._leaving.wait(timeout=_watch_every_s(self.settings)):
            for path in self.holdings.give_back_strays(_STRAY_S):
                log.error("worker.stray jobfile=%s", path)
            if self._is_hung():
                log.critical("worker.hung turn_s=%.0f", time.monotonic() - self.holdings.last_turn)
                # The guard starts the next one, which carries on with what runs.
                os._exit(1)
            node = self._standing()
            self._note_word(node)
            if (why := reason_to_leave(self.settings, node)) is not None:
                self.leave(why)
        self._wait(lambda: not self.holdings.open_claims, _LEAVE_S)
        # Celery looks at this at each turn of its loop, and while it waits for the broker.
        celery_state.should_stop = 0
        self.holdings.wake()

    def _is_hung(self) -> bool:
        """Without contact the loop may stand still for as long as the broker does."""
        now = time.monotonic()
        return now - self.renewer.last_contact < _HUNG_S / 2 and now - self.holdings.last_turn > _HUNG_S

    def _standing(self) -> Standing:
        holdings = self.holdings
        silent_s = time.monotonic() - self.renewer.last_contact
        return Standing(
            running=holdings.running, open_claims=holdings.open_claims, idle_s=holdings.idle_s, silent_s=silent_s, told=holdings.told,
            now=time.time(), warned=self._warned,
        )  # fmt: skip

    def _note_word(self, node: Standing) -> None:
        if node.told != self._heard:
            self._heard = node.told
            word, reason = node.told or ("claim", "")
            log.warning("worker.told word=%s reason=%r", word, reason)
            # `nunatak workers` shows it.
            self.renewer.soon()

    def _wait(self, condition: Callable[[], bool], timeout_s: float) -> None:
        end = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < end:
            self.holdings.wait_change(0.5)

    def _finish(self) -> None:
        if not self.renewer.stop(_LEAVE_S):
            log.warning("worker.leaves_unsettled claims=%d", self.holdings.open_claims)
        self.guard.goodbye()
        log.info("worker.end")


def _watch_every_s(settings: WorkerSettings) -> float:
    return max(0.2, min(5.0, settings.idle_s / 4, settings.no_broker_idle_s / 4))


def _end_with_the_guard() -> None:
    """The guard is gone, and with it the jobfiles' owner (LEASES rule 15); GuardClient has ended them. Their leases run out."""
    log.error("worker.guard_gone")
    os._exit(1)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    settings = WorkerSettings.from_json(sys.argv[1])
    NodeWorker(settings, int(sys.argv[sys.argv.index("--guard-fd") + 1])).work()


if __name__ == "__main__":
    main()
