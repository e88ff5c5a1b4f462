"""A farm in simulated time: real scripts on a real server, the real worker's side, and between them whatever can go wrong."""

import random
from collections import Counter
from typing import Any

from lease_invariants import check_counts, check_places
from schedule_clock import Clock, Fibers
from schedule_faults import Faults
from schedule_node import Node
from schedule_rules import Rules
from schedule_server import Database, Epoch, Request
from schedule_supervisor import Heartbeats, Supervisor

from broker.enqueue import Entry, enqueue
from broker.errors import BrokerError
from broker.scripts import Scripts

DIRECTORY = "/scratch/jobfiles/2m"
#: After the last fault everything must come to its end within this time.
_END_S = 6000.0


class Violation(AssertionError):
    """The promise is broken."""


class Immediate:
    """In the place of a Redis client that is answered at once, or not at all."""

    def __init__(self, epoch: Epoch) -> None:
        self._epoch = epoch
        self.info, self.script_load = epoch.database.info, epoch.database.script_load

    def evalsha(self, sha: str, _keys: int, *args: object) -> Any:
        replies: list[Any] = []
        self._epoch.arrive(Request(sha=sha, args=args, on_reply=lambda fetch: replies.append(fetch())))
        if isinstance(replies[0], Exception):
            raise replies[0]
        return replies[0]


class World:
    def __init__(
        self, databases: list[Database], fibers: Fibers, theme: str, dice: random.Random, clock: Clock, rules: Rules, told: list[str]
    ) -> None:
        self.dice, self.clock, self.rules, self.fibers = dice, clock, rules, fibers
        self._told = told
        self.counts: Counter[str] = Counter()
        self._databases = databases
        self._batches = 0
        self.newest, self.most_epochs = 0, len(databases)
        self.heartbeats = Heartbeats(self.clock, self.dice)
        self._running: dict[str, dict[str, str]] = {}
        self._settled: dict[str, set[str]] = {}
        self._addresses: list[tuple[float, Epoch]] = []
        self.epochs: list[Epoch] = []
        first = self._new_epoch()
        Supervisor(self, first)
        self.announce(first)
        self.jobs = [f"qsub_{i}.sh" for i in range(self.dice.choice((1, 1, 2)))]
        self.nodes = [Node(self, name) for name in "ABC"]
        self.faults = Faults(self, theme)
        self.clock.after(3.0, self._use)

    def close(self) -> None:
        for node in self.nodes:
            if node.worker is not None:
                node.worker.die()

    # -- what the parts ask of it ---------------------------------------------------------------------------------------------------

    def note(self, *words: object) -> None:
        self.counts[str(words[0])] += 1
        self._told.append(f"{self.clock.now:9.2f}  " + " ".join(str(w) for w in words))

    def transit_s(self) -> float:
        chance = self.dice.random()
        return self.dice.uniform(0, 0.3 if chance < 0.8 else 3 if chance < 0.95 else 12)

    def work_s(self) -> float:
        return 30.0 if self.faults.ended else self.dice.choice((100, 1000, 4000)) * self.dice.uniform(0.5, 1)

    def runs(self, job_id: str, node: str, token: str) -> None:
        running = self._running.setdefault(job_id, {})
        running[token] = node
        if len(running) > 1:
            raise Violation(f"two copies run: {running}")

    def rests(self, job_id: str, token: str) -> None:
        self._running.get(job_id, {}).pop(token, None)

    def was_told_settled(self, job_id: object, token: object) -> None:
        self._settled.setdefault(str(job_id), set()).add(str(token))

    def address(self) -> Epoch:
        """What the address file says, as it is seen."""
        return next(e for at, e in reversed(self._addresses) if at <= self.clock.now)

    def announce(self, epoch: Epoch) -> None:
        late_s = self.dice.uniform(0, 30) if self._addresses else 0.0
        self._addresses.append((self.clock.now + late_s, epoch))

    def _new_epoch(self) -> Epoch:
        self.newest += 1
        database = self._databases[self.newest - 1]
        database.empty()
        epoch = Epoch(self.newest, self.clock, self.dice, database, always=self.rules.always)
        self.epochs = [*self.epochs[: self.newest - 1], epoch]
        return epoch

    def begin_epoch(self, older: Epoch) -> Epoch:
        """Its server is not started yet."""
        epoch = self._new_epoch()
        epoch.up = False
        epoch.copy_of(older)
        return epoch

    # -- users ----------------------------------------------------------------------------------------------------------------------

    def _use(self) -> None:
        """A command: starts a supervisor where none is, and enqueues again what has ended."""
        if self.faults.ended:
            return
        self.mind()
        epoch = self.address()
        if epoch.answers:
            try:
                scripts = Scripts(Immediate(epoch))  # type: ignore[arg-type]
                number, _ = scripts.campaign("c", {"retries": "1000"})
                entries = [Entry(name=name, priority=5) for name in self.jobs]
                self._batches += 1
                enqueue(scripts, batch=f"b{self._batches}", campaign=number, directory=DIRECTORY, entries=entries, again=True)
            except BrokerError:
                self.counts["enqueue refused"] += 1
        self.clock.after(self.dice.uniform(20, 120), self._use)

    def mind(self) -> None:
        epoch = next(e for e in reversed(self.epochs) if e.number <= self.newest)
        if not epoch.supervisors and not self.faults.is_moving() and self.clock.now >= epoch.unminded_until:
            Supervisor(self, epoch)

    # -- what must hold ---------------------------------------------------------------------------------------------------------------

    def check_places(self, epoch: Epoch) -> None:
        """In one place, claimed once; the indexes agree."""
        epoch.database.flush()
        dump = epoch.database.dump()
        try:
            check_places(dump)
            check_counts(dump)
        except AssertionError as error:
            raise Violation(f"epoch {epoch.number}: {error}") from error

    def check_end(self) -> None:
        """Without faults everything ends, and whatever a worker was told to be settled stands in the history."""
        self.faults.heal()
        end = self.clock.now + _END_S
        while self._open() and self.clock.now < end:
            self.mind()
            self.clock.run(self.clock.now + 50)
        if self._open():
            raise Violation(f"not ended: {self._open()}")
        epoch = self.address()
        self.check_places(epoch)
        ended = Counter(fields["id"] for _, fields in epoch.database.client.xrange("events") if fields["event"] == "ended")
        for job_id, tokens in self._settled.items():
            if len(tokens) > ended[job_id]:
                raise Violation(f"{job_id} was settled {len(tokens)} times, the history has {ended[job_id]}")

    def _open(self) -> list[str]:
        epoch = self.address()
        epoch.database.flush()
        open_ = [f"{n.name} holds {n.worker.holdings.open_claims}" for n in self.nodes if n.worker and n.worker.holdings.open_claims]
        jobs = {k: v for k, v in epoch.database.dump().items() if k.startswith("job:")}
        return [*open_, *(f"{k} is {v['state']}" for k, v in jobs.items() if v["state"] in ("queued", "running"))]
