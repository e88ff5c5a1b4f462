"""A renewer on a real server, with what its guard would hear."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import servers

from broker.claim import Claim
from broker.enqueue import Entry, enqueue
from broker.errors import Unreachable
from broker.holding import NodeLimits, boottime
from broker.holdings import Holdings
from broker.lease import Holder, Leases, Outcome, Room
from broker.ledger import Ledger
from broker.records import State
from broker.renewer import Renewer
from broker.scripts import Scripts
from broker.settings import LeaseSettings

HERE = Holder(worker="w1", node="n1", block="b1")
THERE = Holder(worker="w2", node="n2", block="b1")
ROOM = Room(free_share=1.0, slot_share=0.5)
DONE = Outcome(verdict="done", reason="exit code 0", exit_code=0, elapsed_s=1.0)
LEASE = LeaseSettings()


@dataclass
class Heard:
    """A watcher that writes down what it is told."""

    words: list[str] = field(default_factory=list)
    #: Done whenever a claim is lost.
    on_lost: Callable[[], object] = lambda: None

    def lost(self, _token: str) -> None:
        self.words.append("lost")
        self.on_lost()

    def __getattr__(self, word: str) -> Callable[..., None]:
        return lambda *_values: self.words.append(word)



class Bench:
    """One renewer, a second holder, and a clock that the server obeys."""

    def __init__(self, server: servers.Server) -> None:
        self.server = server
        self.now_ms = 1_000_000
        self.scripts = Scripts(server.client(), clock=lambda: self.now_ms)
        self.leases = Leases(self.scripts)
        self.connections = 0
        self.heard = Heard()
        self.holdings = Holdings(NodeLimits(slots=2))
        self.renewer = Renewer(self.holdings, HERE, self.heard, self._connect, lambda: {"node": "n1"})
        self._counter = 0
        self.beat()
        self.pass_s(LEASE.lease_s + LEASE.margin_s + 1)

    def _connect(self) -> Leases:
        self.connections += 1
        scripts = Scripts(self.server.client(timeout_s=2.0), clock=lambda: self.now_ms)
        try:
            scripts.client.ping()
        except Exception as error:
            raise Unreachable(str(error)) from error
        return Leases(scripts)

    def beat(self) -> None:
        self._counter += 1
        self.scripts.beat(self.now_ms, self._counter, 1, "run", False, LEASE)

    def pass_s(self, seconds: float) -> None:
        """Let the server's time pass, with a beat every 15 s."""
        end = self.now_ms + round(seconds * 1000)
        while self.now_ms < end:
            self.now_ms = min(end, self.now_ms + 15_000)
            self.beat()

    def enqueue(self, *names: str, **options: str) -> None:
        number, _ = self.scripts.campaign("c", options)
        entries = [Entry(name=n, priority=5) for n in names]
        enqueue(self.scripts, batch=str(time.time_ns()), campaign=number, directory="/d", entries=entries)

    def claim(self) -> Claim:
        claim = self.leases.claim(self.holdings.token, HERE, ROOM)
        assert claim is not None
        self.holdings.add(claim, boottime())
        return claim

    def turn(self) -> list[str]:
        """One turn of the renewer, whatever its timers say; what it told."""
        self.heard.words.clear()
        self.renewer._retry_at = 0.0
        self.renewer.hurry()
        self.renewer.run_once()
        return list(self.heard.words)

    def given(self) -> list[str]:
        """What the renewer was given and Celery was not handed yet."""
        return [claim.name for claim in self.holdings.adopted]

    def state(self, claim: Claim) -> State:
        job = Ledger(self.server.client()).job(claim.job_id)
        assert job is not None
        return job.state
