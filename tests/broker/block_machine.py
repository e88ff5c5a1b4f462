"""Several launchers that intend, record, cancel and drain blocks of one site, each by what it read some time ago."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from lease_server import LeaseServer

from broker.ledger import Ledger
from broker.scripts import Scripts
from broker.settings import LeaseSettings

MAX_LIVE, PER_HOUR = 2, 3
KEPT = ("job_id", "cancelled_at", "drained_at", "ended_at")
picks = st.integers(0, 3)


@dataclass
class Truth:
    """What must be known of a block, whoever wrote last."""

    intended_ms: int
    kept: dict[str, str] = field(default_factory=dict)


class BlockMachine(RuleBasedStateMachine):
    def __init__(self, server: LeaseServer) -> None:
        super().__init__()
        server.wipe()
        self.now_ms = 1_700_000_000_000
        clock = lambda: self.now_ms  # noqa: E731
        self.scripts, self.ledger = Scripts(server.client, clock=clock), Ledger(server.client, clock=clock)
        self.truth: dict[str, Truth] = {}
        self.sent: list[tuple[str, dict[str, str], int]] = []
        #: Records as launchers have read them, each some time ago.
        self.read: list[tuple[str, dict[str, str]]] = []

    @initialize()
    def beat(self) -> None:
        self.scripts.beat(self.now_ms, 1, 1, "run", False, LeaseSettings())

    def live(self) -> int:
        return sum("ended_at" not in t.kept for t in self.truth.values())

    def stamp(self) -> str:
        self.now_ms += 1
        self.beat()
        return str(self.now_ms / 1000)

    @rule(seconds=st.sampled_from((30, 600, 1500)))
    def time_passes(self, seconds: int) -> None:
        self.now_ms += seconds * 1000
        self.beat()

    # -- intents ----------------------------------------------------------------------------------------------------------------------

    @rule(behind=st.sampled_from((0, 0, 0, 0, 1)), same_id=st.sampled_from((False, False, True)), pick=picks)
    def intend(self, behind: int, same_id: bool, pick: int) -> None:
        ids = sorted(self.truth)
        block_id = ids[pick % len(ids)] if same_id and ids else f"b{len(self.sent)}"
        fields = {"site": "tacc", "state": "intended", "submitted_at": self.stamp(), **dict.fromkeys(KEPT, "")}
        self.sent.append((block_id, fields, self.live() + behind))
        self._send(*self.sent[-1])

    @precondition(lambda self: self.sent)
    @rule(pick=picks)
    def an_answer_was_lost_and_the_intent_is_sent_again(self, pick: int) -> None:
        self._send(*self.sent[-1 - pick % len(self.sent)])

    def _send(self, block_id: str, fields: dict[str, str], seen: int) -> None:
        expected = self._expected(block_id, fields, seen)
        said = self.ledger.intend(block_id, fields, site="tacc", seen=seen, max_live=MAX_LIVE, per_hour=PER_HOUR)
        assert said == expected, f"{block_id} {fields}: {said}, not {expected}"
        if said == "ok" and block_id not in self.truth:
            self.truth[block_id] = Truth(intended_ms=self.now_ms)
            self.read.append((block_id, fields))

    def _expected(self, block_id: str, fields: dict[str, str], seen: int) -> str:
        if block_id in self.truth:
            recorded = self.fields(block_id)
            return "ok" if all(recorded[n] == fields[n] for n in ("state", "submitted_at")) else "exists"
        lately = sum(t.intended_ms > self.now_ms - 3_600_000 for t in self.truth.values())
        if seen != self.live():
            return "changed"
        return "cap" if self.live() >= MAX_LIVE else "hour" if lately >= PER_HOUR else "ok"

    # -- records ----------------------------------------------------------------------------------------------------------------------

    def fields(self, block_id: str) -> dict[str, str]:
        return next(b.fields for b in self.ledger.blocks() if b.block == block_id)

    @precondition(lambda self: self.truth)
    @rule(pick=picks)
    def a_launcher_reads(self, pick: int) -> None:
        block_id = sorted(self.truth)[-1 - pick % len(self.truth)]
        self.read.append((block_id, self.fields(block_id)))

    @precondition(lambda self: self.read)
    @rule(pick=picks, what=st.sampled_from(("submitted", "running", "cancelled", "ended", "ended", "failed")))
    def a_launcher_writes(self, pick: int, what: str) -> None:
        """By what it read; then it knows no more than it wrote."""
        place = -1 - pick % len(self.read)
        block_id, fields = self.read[place]
        now = self.stamp()
        news = {
            "submitted": {"state": "waiting", "job_id": fields["job_id"] or now},
            "running": {"state": "running"},
            "cancelled": {"state": "leaving", "cancelled_at": fields["cancelled_at"] or now},
            "ended": {"state": "ended", "ended_at": fields["ended_at"] or now},
            "failed": {"state": "unknown", "reason": "sbatch: timeout"},
        }[what]
        self.read[place] = block_id, {**fields, **news}
        self._follow(block_id, {**fields, **news}, self.ledger.record_block(block_id, {**fields, **news}))

    def _follow(self, block_id: str, written: dict[str, Any], said: str) -> None:
        kept = self.truth[block_id].kept
        if "ended_at" in kept:
            assert said == "over"
            if written["job_id"]:
                kept.setdefault("job_id", written["job_id"])
            return
        assert said == ("outdated" if any(not written[n] for n in kept) else "recorded")
        kept.update({n: written[n] for n in KEPT if written[n]})

    @precondition(lambda self: self.truth)
    @rule(pick=picks)
    def drain(self, pick: int) -> None:
        block_id = sorted(self.truth)[-1 - pick % len(self.truth)]
        kept = self.truth[block_id].kept
        expected = "over" if "ended_at" in kept else "already" if "drained_at" in kept else "draining"
        assert self.ledger.drain_block(block_id) == expected
        if expected == "draining":
            kept["drained_at"] = f"{self.now_ms / 1000:.3f}"

    # -- what must hold ---------------------------------------------------------------------------------------------------------------

    @invariant()
    def what_was_known_once_is_known(self) -> None:
        found = {b.block: b.fields for b in self.ledger.blocks()}
        assert set(found) == set(self.truth)
        assert self.live() <= MAX_LIVE
        for block_id, truth in self.truth.items():
            seen = {n: found[block_id][n] for n in KEPT if found[block_id].get(n)}
            assert seen == truth.kept, f"{block_id}: {seen}, not {truth.kept}"
            assert ("ended_at" in seen) == (found[block_id]["state"] == "ended"), f"{block_id}: {found[block_id]}"
            if "cancelled_at" in seen:
                assert found[block_id]["state"] in ("leaving", "ended", "running", "waiting", "unknown")
