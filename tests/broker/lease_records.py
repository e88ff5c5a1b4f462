"""A jobfile and a campaign as the lease verbs' model sees them (lease_model.py)."""

from dataclasses import dataclass, field

from broker.lease import Holder
from broker.settings import LeaseSettings

#: Two losses are enough, so that short schedules get there.
SETTINGS = LeaseSettings(max_losses=2)
LEASE_MS, MARGIN_MS, FRESH_MS = (round(s * 1000) for s in (SETTINGS.lease_s, SETTINGS.margin_s, SETTINGS.beat_fresh_s))
SAFE_MS = LEASE_MS - MARGIN_MS
BAD_ENDS = ("failed", "quarantined", "cancelled")
ENDED = ("done", *BAD_ENDS)
RETRIES = 3
HOLDERS = tuple(Holder(worker=f"w{i}", node=f"n{i}", block=f"b{i % 2}") for i in range(3))


@dataclass
class Job:
    campaign: str
    lane: str
    state: str = "queued"
    token: str | None = None
    last_token: str | None = None
    #: The last claim that its holder ended, and all that any holder ended.
    ended_token: str | None = None
    ended_tokens: set[str] = field(default_factory=set)
    lease_end: int = 0
    cancel: bool = False
    skipped: bool = False
    failures: int = 0
    losses: int = 0
    deliveries: int = 0
    attempt: int = 0
    #: Where it waits: 'lane', 'suspect' (for an empty node) or 'returning' (until `until`, if anything else fits).
    place: str = "lane"
    until: float = 0
    #: Who holds it, or held it last; where its losses were counted, and whether its last reaping was.
    holder: Holder | None = None
    lost_on: list[Holder] = field(default_factory=list)
    loss_counted: bool = False
    #: Whether the present claim's start is known and since when, and how each attempt ended.
    started: bool = False
    started_at: int = 0
    endings: dict[int, str] = field(default_factory=dict)

    @property
    def priority(self) -> int:
        return int(self.lane.split(".")[0])

    @property
    def per_node(self) -> int:
        return int(self.lane.split(".")[1])

    @property
    def estimate_s(self) -> int:
        return int(self.lane.split(".")[2])

    @property
    def rank(self) -> tuple[int, int]:
        return self.priority, self.estimate_s

    def start(self, at: int) -> None:
        if not self.started:
            self.started, self.attempt, self.started_at = True, self.attempt + 1, at

    def count_loss(self) -> None:
        """Once for each node of each block."""
        assert self.holder is not None
        if self.holder not in self.lost_on:
            self.lost_on.append(self.holder)
            self.losses += 1
            self.loss_counted = True

    def forgive_loss(self) -> None:
        if self.loss_counted:
            self.losses -= 1
            self.lost_on.pop()
            self.loss_counted = False

    @property
    def is_suspect(self) -> bool:
        return self.losses >= max(1, SETTINGS.max_losses - 1)

    def note_ending(self, ending: str) -> None:
        if self.started:
            self.endings[self.attempt] = ending

    def end(self, token: str) -> None:
        """Its holder ends its claim."""
        self.token = self.last_token = None
        self.ended_token = token
        self.ended_tokens.add(token)

    def forgive(self) -> None:
        self.failures = self.losses = 0
        self.lost_on, self.loss_counted = [], False
        self.last_token = None


@dataclass
class Campaign:
    number: str
    retries: int = RETRIES
    max_fails: int = 0
    paused: bool = False
    #: What counts for the pause since it was last resumed: 'ok' or a failure's reason, and how many jobfiles failed for good.
    ends: list[str] = field(default_factory=list)
    fails: int = 0

    def judge(self) -> None:
        row = self.ends[-20:]
        if len(row) == 20 and len(set(row)) == 1 and row[0] != "ok":
            self.paused = True
        if len(self.ends) >= 5 and len(set(self.ends)) == 1 and self.ends[0] != "ok":
            self.paused = True
        if 0 < self.max_fails <= self.fails:
            self.paused = True

    def resume(self) -> None:
        self.paused, self.ends, self.fails = False, [], 0
