"""What waits of one group, as ordered sets in memory: the look-ups that the start decision needs."""

import math
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field

from broker.durations import Curve
from broker.start_decision import Need

_Row = tuple[float, int]


def _last(rows: list[_Row], at: int) -> int | None:
    return rows[at - 1][1] if at else None


@dataclass(kw_only=True)
class SortedLane:
    """A lane of the start decision."""

    curve: Curve
    priority: int = 0
    #: The sum of those that were never interrupted, in the curve's units.
    units: float = 0.0
    #: The sum of what the others may take: between what they have had and what they wait for.
    longer_s: float = 0.0
    _needs: dict[int, Need] = field(default_factory=dict)
    #: Score and negated id: of equal ones the first comes first.
    _fresh: list[_Row] = field(default_factory=list)
    _by_need: list[_Row] = field(default_factory=list)
    _by_least: list[_Row] = field(default_factory=list)

    @property
    def work_s(self) -> float:
        """What all that waits is expected to take."""
        return self.curve.mean * self.units + self.longer_s

    def __len__(self) -> int:
        return len(self._needs)

    def _need(self, number: int | None) -> Need | None:
        return None if number is None else self._needs[-number]

    def fresh(self, unit_at_most: float) -> Need | None:
        """The one of the greatest unit up to that, of those that were never interrupted."""
        return self._need(_last(self._fresh, bisect_right(self._fresh, (unit_at_most, 1))))

    def needing(self, need_at_most_s: float) -> Need | None:
        """The one of the greatest need up to that, of the interrupted."""
        return self._need(_last(self._by_need, bisect_right(self._by_need, (need_at_most_s, 1))))

    def least(self, more_than_below_s: float) -> Need | None:
        """The one with the longest run below that, of the interrupted."""
        return self._need(_last(self._by_least, bisect_left(self._by_least, (more_than_below_s, -(1 << 60)))))

    def _rows(self, need: Need) -> list[tuple[list[_Row], _Row]]:
        if not need.more_than_s:
            return [(self._fresh, (need.unit, -need.id))]
        return [(self._by_need, (need.need_s, -need.id)), (self._by_least, (need.more_than_s, -need.id))]

    def _count(self, need: Need, by: int) -> None:
        if not need.more_than_s:
            self.units += by * need.unit
        elif need.need_s < math.inf:
            self.longer_s += by * (need.more_than_s + need.need_s) / 2

    def add(self, need: Need) -> None:
        """It waits."""
        self._needs[need.id] = need
        self._count(need, 1)
        for rows, row in self._rows(need):
            insort(rows, row)

    def take(self, need: Need) -> None:
        """It waits no more."""
        del self._needs[need.id]
        self._count(need, -1)
        for rows, row in self._rows(need):
            del rows[bisect_left(rows, row)]
