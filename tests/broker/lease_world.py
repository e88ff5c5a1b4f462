"""Time, the supervisor and the server under the lease verbs, and what must hold after every step (the base of lease_machine.py).

`now_ms` is true time, by which processes run and guards freeze; `model.now` is the server's clock, which may be stepped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from lease_invariants import check
from lease_model import Model
from lease_records import LEASE_MS, MARGIN_MS, SETTINGS
from lease_server import LeaseServer

from broker.enqueue import job_id
from broker.errors import Stale
from broker.lease import Holder, Leases, Outcome
from broker.ledger import Ledger
from broker.scripts import Scripts

T = TypeVar("T")

DIRECTORY = "/scratch/jobfiles/2m"
NAMES = tuple(f"qsub_{i}.sh" for i in range(5))
IDS = tuple(job_id(DIRECTORY, name) for name in NAMES)
#: Drift that the supervisor notices from one beat to the next.
DRIFT_MS = 2000
#: The first beat after something happened comes soon, the others as late as they may: a schedule of days costs little.
SOON_MS, LATE_MS = 20_000, 55_000


@dataclass
class Hand:
    """A claim as its holder knows it; it learns nothing from an answer that is lost."""

    token: str
    holder: Holder
    job_id: str
    attempt: int
    #: True time until which its processes may run.
    deadline: int
    started: bool = False
    started_ms: int = 0
    #: Its processes are dead, or it never had any.
    ended: bool = False
    outcome: Outcome | None = None
    gave_back: tuple[bool, float | None] | None = None


class LeaseWorld(RuleBasedStateMachine):
    def __init__(self, server: LeaseServer) -> None:
        super().__init__()
        server.wipe()
        self.server = server
        self.model = Model()
        self.scripts = Scripts(server.client, clock=lambda: self.model.now)
        self.leases = Leases(self.scripts)
        self.ledger = Ledger(server.client, clock=lambda: self.model.now)
        self.now_ms = 0
        self.run_id = "run-0"
        self.counter = 0
        self.pinged: tuple[int, int] | None = None
        self.skew_at_beat = 0
        self.serial = 0
        self.was_refused = False
        self.hands: list[Hand] = []
        #: Who had which number for a start.
        self.starts: dict[tuple[str, int], str] = {}

    def ask(self, verb: Callable[[], T]) -> T | None:
        """Call a verb; None if it was refused, as it must be without a fresh beat, and then nothing may have changed."""
        if not self.model.is_stale():
            return verb()
        before = self.server.dump()
        with pytest.raises(Stale):
            verb()
        assert self.server.dump() == before, "a refused verb changed something"
        self.was_refused = True
        return None

    def next(self, prefix: str) -> str:
        self.serial += 1
        return f"{prefix}{self.serial}"

    # -- time and the supervisor --------------------------------------------------------------------------------------------------

    def pass_ms(self, ms: int) -> None:
        self.now_ms += ms
        self.model.now += ms

    def pass_with_beats(self, ms: int) -> None:
        self.pinged, wait_ms = None, SOON_MS
        while ms > 0:
            self.pass_ms(min(ms, wait_ms))
            self.beat()
            ms, wait_ms = ms - wait_ms, LATE_MS

    def ping(self) -> None:
        self.pinged = self.model.now, self.model.now - self.now_ms

    def beat(self) -> None:
        """Late, if the ping was long ago: the file's write took its time."""
        if self.pinged is None:
            self.ping()
        assert self.pinged is not None
        (at, skew), self.pinged = self.pinged, None
        drift = abs(skew - self.skew_at_beat) > DRIFT_MS
        self.skew_at_beat = skew
        self.counter += 1
        answer = self.scripts.beat(at, self.counter, 1, self.run_id, drift, SETTINGS)
        assert (answer.gap, answer.grace_until_ms) == self.model.beat(at, self.run_id, drift)

    def reap(self) -> None:
        reaped = self.ask(self.scripts.reap)
        if reaped is not None:
            assert not reaped or self.model.now >= self.model.grace_until, "reaped within the grace"
            assert sorted(r.job_id for r in reaped) == sorted(self.model.reap())

    @rule(what=st.sampled_from(("ping", "beat", "reap", "reap")))
    def the_supervisor_acts(self, what: str) -> None:
        getattr(self, what)()

    @rule(seconds=st.sampled_from((20, 100, 200, 240, 290)))
    def time_passes(self, seconds: int) -> None:
        self.pass_with_beats(seconds * 1000)

    @rule(beats=st.sampled_from((True, True, False)))
    def leases_run_out(self, beats: bool) -> None:
        """With beats they are reaped; without, the grace must protect them."""
        if beats:
            self.pass_with_beats(LEASE_MS + 1000)
            self.pass_with_beats(max(0, self.model.grace_until - self.model.now))
        else:
            self.pass_ms(LEASE_MS + MARGIN_MS)
            self.beat()
        self.reap()

    @rule(seconds=st.sampled_from((5, 30, 59, 61)))
    def no_beat_comes(self, seconds: int) -> None:
        self.pass_ms(seconds * 1000)

    @rule(what=st.sampled_from((-400, -30, -1, 1, 10, 30, 30, 55, 700, "killed", "killed")))
    def the_servers_clock_is_stepped_or_it_is_killed(self, what: int | str) -> None:
        if isinstance(what, int):
            self.model.now += what * 1000
        else:
            self.server.restart()
            self.run_id = self.next("run-")

    # -- what must hold -----------------------------------------------------------------------------------------------------------

    @invariant()
    def the_server_is_as_the_model(self) -> None:
        check(self.server.dump(), self.model)
        self.check_copies()
        if self.was_refused:
            # Somebody minds the server again, or the rest of the schedule would only see refusals.
            self.was_refused, self.pinged = False, None
            self.beat()

    def check_copies(self) -> None:
        running = [h.job_id for h in self.hands if h.started and not h.ended and self.now_ms < h.deadline]
        assert len(running) == len(set(running)), f"two copies run unfrozen: {running}"
