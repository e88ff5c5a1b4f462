"""The rules that others use, to compare with: first come, first served, if a condition on the remaining walltime holds."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from broker.durations import Curve, Tally, learn, unsaid
from nunatak.simulate.engine import SimBlock
from nunatak.simulate.jobfiles import HOUR_S, Jobfile
from nunatak.simulate.shape import Shape


@dataclass(kw_only=True)
class InOrder:
    """In order of arrival if at least so much walltime is left; an interrupted one goes to the end.

    There are blocks up to the limit while any jobfile waits.
    """

    name: str = "always start"
    least_s: float = 0.0
    #: A node that finds nothing leaves its block.
    nodes_stay: bool = False
    _queue: deque[int] = field(default_factory=deque)
    _shape: Shape = field(default_factory=Shape)

    def begin(self, shape: Shape, jobfiles: Sequence[Jobfile]) -> None:
        """All wait."""
        self._shape = shape
        self._queue = deque(jobfile.id for jobfile in jobfiles)

    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    def start(self, block: SimBlock, now: float) -> int | None:
        """The first, if enough is left."""
        return self._queue.popleft() if self._queue and self.may_start(block.ends_s - now) else None

    def may_start(self, remaining_s: float) -> bool:
        """The condition; a second is nothing."""
        return remaining_s >= self.least_s - 1.0

    def finished(self, jobfile: int, ran_s: float) -> None:
        """Nothing is learned."""

    def interrupted(self, jobfile: int, ran_s: float) -> None:  # noqa: ARG002 - a policy is told both
        """To the end of the queue."""
        self._queue.append(jobfile)

    def blocks_wanted(self, blocks: Mapping[int, SimBlock], now: float) -> int:  # noqa: ARG002 - it does not depend on anything
        """All that there may be."""
        return self._shape.max_blocks


def full_walltime(shape: Shape) -> InOrder:
    """The predecessor's rule: only if what a jobfile may take at most is left, which is the whole walltime."""
    return InOrder(name=f'"{shape.walltime_s / HOUR_S:g} h left"', least_s=shape.walltime_s)


@dataclass(kw_only=True)
class ByChance(InOrder):
    """Only if the durations seen so far give at least this chance to end in time."""

    name: str = "chance >= 25 %"
    least_chance: float = 0.25
    _tally: Tally = field(default_factory=Tally)
    _curve: Curve | None = None
    _next: int = 0

    def may_start(self, remaining_s: float) -> bool:
        """Whether the chance is enough."""
        if self._curve is None or self._tally.count >= self._next:
            self._curve = learn(self._tally, unsaid(self._shape.walltime_s))
            self._next = int(self._tally.count * 1.1) + 10
        return self._curve.chance(remaining_s) >= self.least_chance

    def finished(self, jobfile: int, ran_s: float) -> None:  # noqa: ARG002 - a policy is told both
        """Learned."""
        self._tally.finish(ran_s)

    def interrupted(self, jobfile: int, ran_s: float) -> None:
        """Learned too."""
        self._tally.interrupt(ran_s)
        super().interrupted(jobfile, ran_s)
