"""A campaign on simulated time: blocks start, slots ask a policy, jobfiles end or are cut off. Deterministic."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nunatak.simulate.account import Account
from nunatak.simulate.jobfiles import HOUR_S, Jobfile
from nunatak.simulate.shape import Shape


@dataclass(kw_only=True, eq=False)
class SimBlock:
    """A block while it lasts."""

    number: int
    starts_s: float
    ends_s: float
    free: int
    #: Jobfile -> when it started.
    running: dict[int, float] = field(default_factory=dict)
    is_up: bool = False
    is_over: bool = False


class Policy(Protocol):
    """What decides: what a slot starts, and how many blocks there are."""

    @property
    def name(self) -> str:
        """As tables show it."""

    @property
    def nodes_stay(self) -> bool:
        """A node without work stays while its block is charged anyway, and takes what comes later."""

    def begin(self, shape: Shape, jobfiles: Sequence[Jobfile]) -> None:
        """All of these wait."""

    def waiting(self) -> int:
        """How many wait."""

    def start(self, block: SimBlock, now: float) -> int | None:
        """The jobfile that a free slot of the block starts now; it waits no more."""

    def finished(self, jobfile: int, ran_s: float) -> None:
        """It ended well."""

    def interrupted(self, jobfile: int, ran_s: float) -> None:
        """It waits again."""

    def blocks_wanted(self, blocks: Mapping[int, SimBlock], now: float) -> int:
        """How many there should be in all, waiting ones included."""


@dataclass(kw_only=True)
class Run:
    """One simulation."""

    shape: Shape
    policy: Policy
    jobfiles: Sequence[Jobfile]
    now: float = 0.0
    last_end_s: float = 0.0
    live: dict[int, SimBlock] = field(default_factory=dict)
    blocks: int = 0
    done: int = 0
    interruptions: int = 0
    charged_s: float = 0.0
    useful_s: float = 0.0
    cut_s: float = 0.0
    least_s: float = 0.0
    #: Blocks in a row that ended without having run anything: there is nothing that fits.
    barren: int = 0
    #: When, whether it is a block's (what ends in the same moment has ended), number, of what.
    _events: list[tuple[float, bool, int, SimBlock, int | None]] = field(default_factory=list)
    _count: int = 0

    def account(self) -> Account:
        """Run it to its end."""
        self.policy.begin(self.shape, self.jobfiles)
        self._submit()
        while self._events:
            self.now, _, _, block, jobfile = heapq.heappop(self._events)
            if not block.is_over:
                self._happen(block, jobfile)
        per_node = self.shape.slots_per_node * HOUR_S
        charged = self.charged_s / per_node
        return Account(
            charged=charged, useful=self.useful_s / per_node, cut=self.cut_s / per_node, least_charge=self.least_s / per_node,
            hours=self.last_end_s / HOUR_S, su=charged * self.shape.su_per_node_hour, blocks=self.blocks,
            interruptions=self.interruptions, done=self.done, left=self.policy.waiting(),
        )  # fmt: skip

    def _at(self, when: float, block: SimBlock, jobfile: int | None) -> None:
        self._count += 1
        heapq.heappush(self._events, (when, jobfile is None, self._count, block, jobfile))

    def _happen(self, block: SimBlock, jobfile: int | None) -> None:
        if jobfile is not None:
            self._finish(block, jobfile)
        elif block.is_up:
            self._cut(block)
        else:
            self._begin(block)
        if not block.running:
            self._close(block)
        self._submit()

    def _begin(self, block: SimBlock) -> None:
        block.is_up = True
        self._at(block.ends_s, block, None)
        self._fill(block)
        self.barren = 0 if block.running else self.barren + 1

    def _finish(self, block: SimBlock, jobfile: int) -> None:
        ran_s = self.now - block.running.pop(jobfile)
        self.useful_s += ran_s
        self.done += 1
        self.last_end_s = self.now
        self.policy.finished(jobfile, ran_s)
        block.free += 1
        self._fill(block)

    def _cut(self, block: SimBlock) -> None:
        for jobfile, began in block.running.items():
            self.cut_s += self.now - began
            self.interruptions += 1
            self.policy.interrupted(jobfile, self.now - began)
        block.running = {}
        block.free = 0
        self._close(block)
        for other in self._staying():
            self._fill(other)

    def _staying(self) -> Iterator[SimBlock]:
        """Blocks with slots for what was interrupted elsewhere, the longest remainder first."""
        if self.policy.nodes_stay:
            yield from sorted((block for block in self.live.values() if block.is_up and block.free), key=lambda block: -block.ends_s)

    def _fill(self, block: SimBlock) -> None:
        while block.free:
            jobfile = self.policy.start(block, self.now)
            if jobfile is None:
                break
            block.free -= 1
            block.running[jobfile] = self.now
            ends = self.now + self.jobfiles[jobfile].duration_s
            if ends <= block.ends_s:
                self._at(ends, block, jobfile)
        if not self.policy.nodes_stay:
            block.free = 0

    def _close(self, block: SimBlock) -> None:
        if block.is_over:
            return
        block.is_over = True
        del self.live[block.number]
        lasted = self.now - block.starts_s
        self.charged_s += self.shape.slots * lasted
        short = self.shape.slots * max(0.0, self.shape.least_charged_s - lasted)
        self.charged_s += short
        self.least_s += short

    def _submit(self) -> None:
        """One that need not wait starts at once, before what else happens in this moment."""
        while len(self.live) < self.shape.max_blocks and self.barren < self.shape.max_blocks:
            if not self.policy.waiting() or len(self.live) >= self.policy.blocks_wanted(self.live, self.now):
                return
            self.blocks += 1
            starts = self.now + self.shape.queue_wait_s
            block = SimBlock(number=self.blocks, starts_s=starts, ends_s=starts + self.shape.walltime_s, free=self.shape.slots)
            self.live[block.number] = block
            if self.shape.queue_wait_s:
                self._at(starts, block, None)
                continue
            self._begin(block)
            if not block.running:
                self._close(block)
