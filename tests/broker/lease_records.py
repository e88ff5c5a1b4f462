"""A jobfile and a campaign as the lease verbs' model sees them (lease_model.py)."""

from dataclasses import dataclass, field

from broker.lease import Holder
from broker.settings import LeaseSettings

#: Two losses are enough, so that short schedules get there.
SETTINGS = LeaseSettings(max_losses=2)
LEASE_MS, MARGIN_MS, FRESH_MS = (round(s * 1000) for s in (SETTINGS.lease_s, SETTINGS.margin_s, SETTINGS.beat_fresh_s))
SAFE_MS = LEASE_MS - MARGIN_MS
QUICK_S = SETTINGS.quick_s
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
    #: Where it failed quickly, once for each failure that counts; where it did and that was taken off; that it was out of retries.
    quick_on: list[tuple[str, str]] = field(default_factory=list)
    taken_off: set[tuple[str, str]] = field(default_factory=set)
    worn_out: bool = False
    #: When the broker last noted that it has outlived the time within which what fails fails quickly; None: never.
    outlived_at: int | None = None

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
        self.quick_on, self.taken_off, self.worn_out = [], set(), False


@dataclass
class Campaign:
    number: str
    retries: int = RETRIES
    max_fails: int = 0
    paused: bool = False
    #: The pause is the broker's own; it is for this node, and the others are given so many jobfiles all the same.
    by_itself: bool = False
    paused_for: str | None = None
    probes: int = 0
    #: What counts for the pause since it was last resumed: the latest first failures in a row, for one reason (jobfile, node); whether it
    #: has ended otherwise too; how many jobfiles failed for good.
    row: list[tuple[str, str]] = field(default_factory=list)
    row_reason: str | None = None
    mixed: bool = False
    fails: int = 0

    def succeed(self) -> None:
        self.row, self.mixed = [], True

    def fail(self, job_id: str, node: str, reason: str) -> None:
        if self.row_reason not in (None, reason):
            self.row, self.mixed = [], True
        self.row, self.row_reason = [*self.row, (job_id, node)][-20:], reason

    def take_off(self, job_id: str, node: str, *, was_final: bool) -> None:
        self.row = [entry for entry in self.row if entry != (job_id, node)]
        if not self.row:
            self.row_reason = None
        self.fails -= was_final and self.fails > 0

    @property
    def is_due(self) -> bool:
        return len(self.row) >= (20 if self.mixed else 5) or 0 < self.max_fails <= self.fails

    def judge(self, suspect: str | None) -> None:
        if self.is_due and not self.paused:
            self.paused = self.by_itself = True
            if suspect is not None and all(node == suspect for _, node in self.row):
                self.paused_for, self.probes = suspect, 5

    def spread(self, node: str) -> None:
        if self.paused_for != node:
            self.paused_for = None

    def probe(self) -> None:
        if self.paused_for is not None:
            self.probes -= 1
            if self.probes <= 0:
                self.paused_for = None

    def lift(self) -> bool:
        """Whether it goes on because the failures that paused it were taken off."""
        if not self.by_itself or self.is_due:
            return False
        self.paused, self.by_itself, self.paused_for = False, False, None
        return True

    def is_paused_for(self, node: str) -> bool:
        return self.paused and self.paused_for in (None, node)

    @property
    def is_paused_for_all(self) -> bool:
        return self.paused and self.paused_for is None

    def pause(self) -> None:
        """A person's."""
        self.paused, self.by_itself, self.paused_for = True, False, None

    def resume(self) -> None:
        self.paused, self.by_itself, self.paused_for = False, False, None
        self.row, self.row_reason, self.mixed, self.fails = [], None, False, 0
