"""Our policy on simulated time: the start decision of the broker, fed with what the simulated campaign has shown so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from broker.durations import ESTIMATED, Prior, Tally, learn, unsaid
from broker.start_decision import Need, Slot, decide, need_of
from nunatak.simulate.engine import SimBlock
from nunatak.simulate.jobfiles import Jobfile
from nunatak.simulate.lanes import SortedLane
from nunatak.simulate.shape import Shape
from nunatak.simulate.width import Work, blocks_wanted

#: The youngest running jobfiles of a block tell how long it will be charged anyway.
_YOUNGEST = 3
#: Of their whole durations, what those that run have yet to do.
_REST = 0.7


@dataclass(kw_only=True)
class _Group:
    """Jobfiles that are alike: all without estimates, or all with."""

    @property
    def typical(self) -> float:
        """The mean unit of those that wait."""
        return self.lane.work_s / (len(self.lane) * self.lane.curve.mean) if len(self.lane) else 1.0

    lane: SortedLane
    has_estimates: bool
    tally: Tally = field(default_factory=Tally)
    #: The sum of what runs, in the curve's units.
    running: float = 0.0


@dataclass(kw_only=True)
class Learned:
    """Longest that fits first, the interrupted into remainders that fit them, gambles where the node is charged anyway."""

    name: str = "ours"
    nodes_stay: bool = True
    _shape: Shape = field(default_factory=Shape)
    _groups: dict[bool, _Group] = field(default_factory=dict)
    _jobfiles: Sequence[Jobfile] = ()
    #: Jobfile -> its longest interrupted run.
    _more_than: dict[int, float] = field(default_factory=dict)
    #: Jobfile -> when it started.
    _running: dict[int, float] = field(default_factory=dict)
    _seen: int = 0
    _next: int = 0

    def begin(self, shape: Shape, jobfiles: Sequence[Jobfile]) -> None:
        """All wait."""
        self._shape, self._jobfiles = shape, jobfiles
        for has in {jobfile.estimate_s is not None for jobfile in jobfiles}:
            curve = learn(Tally(), self._prior(has))
            self._groups[has] = _Group(lane=SortedLane(curve=curve), has_estimates=has)
        for jobfile in jobfiles:
            self._group(jobfile.id).lane.add(Need(id=jobfile.id, unit=self._unit(jobfile.id)))

    def _group(self, jobfile: int) -> _Group:
        return self._groups[self._jobfiles[jobfile].estimate_s is not None]

    def _prior(self, has_estimates: bool) -> Prior:
        return ESTIMATED if has_estimates else unsaid(self._shape.walltime_s)

    def _unit(self, jobfile: int) -> float:
        return self._jobfiles[jobfile].estimate_s or 1.0

    def waiting(self) -> int:
        """How many wait."""
        return sum(len(group.lane) for group in self._groups.values())

    def start(self, block: SimBlock, now: float) -> int | None:
        """As the broker decides."""
        self._learn(now)
        choice = decide(self._slot(block, now), [group.lane for group in self._groups.values()])
        if choice.need is None:
            return None
        self._group(choice.need.id).lane.take(choice.need)
        self._running[choice.need.id] = now
        self._group(choice.need.id).running += choice.need.unit
        return choice.need.id

    def _slot(self, block: SimBlock, now: float) -> Slot:
        last = 0.5 ** (1.0 / max(1, len(block.running)))
        charged = max((self._rest(jobfile, now, last) for jobfile in islice(reversed(block.running), _YOUNGEST)), default=0.0)
        remaining = block.ends_s - now
        gamblers = max(1, min(block.free, self.waiting()))
        price = self._shape.slots / gamblers
        return Slot(remaining_s=remaining, longest_s=self._shape.walltime_s, charged_s=min(remaining, charged), price=price)

    def _rest(self, jobfile: int, now: float, probability: float) -> float:
        """So long it will run on with that probability, at most."""
        age, unit = now - self._running[jobfile], self._unit(jobfile)
        known = max(age, self._more_than.get(jobfile, 0.0))
        return unit * self._group(jobfile).lane.curve.quantile(probability, known / unit) - age

    def _learn(self, now: float) -> None:
        """Anew when there is a tenth more to be learned from."""
        if self._seen < self._next:
            return
        self._next = self._seen + 10 + self._seen // 10
        for has, group in self._groups.items():
            running = ((now - began) / self._unit(jobfile) for jobfile, began in self._running.items() if self._group(jobfile) is group)
            curve = learn(group.tally, self._prior(has), running)
            group.lane.curve = curve

    def finished(self, jobfile: int, ran_s: float) -> None:
        """Learned."""
        unit = self._unit(jobfile)
        self._group(jobfile).tally.finish(ran_s / unit, self._more_than.pop(jobfile, 0.0) / unit)
        self._end(jobfile)

    def interrupted(self, jobfile: int, ran_s: float) -> None:
        """Learned; it waits for a remainder that fits it."""
        unit, group, before = self._unit(jobfile), self._group(jobfile), self._more_than.get(jobfile, 0.0)
        group.tally.interrupt(ran_s / unit, before / unit)
        self._end(jobfile)
        more_than = self._more_than[jobfile] = max(before, ran_s)
        need = Need(id=jobfile, unit=unit, more_than_s=more_than)
        group.lane.add(replace(need, need_s=need_of(group.lane.curve, unit, more_than, self._shape.walltime_s)))

    def _end(self, jobfile: int) -> None:
        del self._running[jobfile]
        self._group(jobfile).running -= self._unit(jobfile)
        self._seen += 1

    def blocks_wanted(self, blocks: Mapping[int, SimBlock], now: float) -> int:
        """As many as the work is worth."""
        return blocks_wanted(self._work(blocks, now), self._shape)

    def _left(self, remaining_s: float) -> float:
        """Slot-seconds of a block that what waits can use, as likely as it ends in them."""
        chance = sum(group.lane.curve.chance(remaining_s / group.typical) * len(group.lane) for group in self._groups.values())
        return remaining_s * self._shape.slots * chance / max(1, self.waiting())

    def _work(self, blocks: Mapping[int, SimBlock], now: float) -> Work:
        waiting = sum(group.lane.work_s for group in self._groups.values())
        left = sum(self._left(block.ends_s - max(now, block.starts_s)) for block in blocks.values())
        running = _REST * sum(group.lane.curve.mean * group.running for group in self._groups.values())
        return Work(waiting=self.waiting(), waiting_s=waiting, running_s=running, left_s=left, blocks=len(blocks))
