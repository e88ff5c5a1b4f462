"""What is known of how long jobfiles take, from those that ended and those that were interrupted: pure, and small whatever their number.

A group of jobfiles that are alike (a campaign, or what a jobfile says of itself) has one tally: values in classes of half a percent, so
adding one is O(1) and the whole is some hundreds of numbers with a million jobfiles. Where jobfiles bring an estimate the values are ratios
to it, else seconds. An interrupted jobfile is not forgotten, which would make all seem shorter than they are: it counts as "needs more than
that" (right-censored; Kaplan and Meier, J. Am. Stat. Assoc. 53, 1958). A prior stands for a few jobfiles, so that something is known before
the first end and nothing is ever certain.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import NormalDist

_GROWTH = math.log(1.005)
_SMALLEST = 1e-3
#: The prior is spread over so many values of equal weight.
_PRIOR_POINTS = 25


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What is believed before anything was seen: a lognormal distribution that counts as `weight` jobfiles."""

    median: float
    #: Of the logarithm.
    sigma: float
    weight: float = 3.0


def unsaid(longest_s: float) -> Prior:
    """Seconds, of jobfiles that say nothing: whoever runs them in blocks of that walltime thinks that most of them end there.

    Of 48 hours it makes 11 as the typical duration, with anything from two upwards believable.
    """
    return Prior(median=longest_s * 11 / 48, sigma=0.8)


#: Ratio to an estimate: people and headers err by a third.
ESTIMATED = Prior(median=1.0, sigma=0.3)


@dataclass(kw_only=True)
class Tally:
    """How many ended after, and how many need more than, which value; by class."""

    finished: dict[int, float] = field(default_factory=dict)
    interrupted: dict[int, float] = field(default_factory=dict)

    def finish(self, value: float, more_than: float = 0.0) -> None:
        """A jobfile took so much; that it needed more than `more_than` had been counted before and is so no longer."""
        self._forget(more_than)
        _count(self.finished, value)

    def interrupt(self, value: float, more_than: float = 0.0) -> None:
        """A jobfile needs more than `value`: one jobfile counts once, however often it is interrupted, by its longest run."""
        self._forget(more_than)
        _count(self.interrupted, max(value, more_than))

    def _forget(self, more_than: float) -> None:
        if more_than > 0:
            _count(self.interrupted, more_than, -1.0)

    @property
    def count(self) -> float:
        """Jobfiles that it knows something of."""
        return sum(self.finished.values()) + sum(self.interrupted.values())


def _class_of(value: float) -> int:
    return math.floor(math.log(max(value, _SMALLEST)) / _GROWTH + 1e-9)


def _count(counts: dict[int, float], value: float, by: float = 1.0) -> None:
    number = _class_of(value)
    counts[number] = max(0.0, counts.get(number, 0.0) + by)
    if not counts[number]:
        del counts[number]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A distribution of durations: how likely at most so much, and how much work that is. Between its points it is a straight line.

    Of what needs more than anything that was seen to end nothing is known but that: it is taken to need more than x with probability
    (what it has had) / x, the rule of Lindy, so that a longer remainder always looks better than a shorter one and none looks certain.
    """

    #: Ascending.
    values: tuple[float, ...]
    #: Probability of at most that value; the last may be below 1: some may need more than anything seen.
    below: tuple[float, ...]
    #: Expected value, counting those at most that value only.
    part: tuple[float, ...]

    def _at(self, value: float, heights: tuple[float, ...]) -> float:
        place = bisect_right(self.values, value)
        if place == 0:
            return 0.0
        if place == len(self.values):
            return heights[-1]
        low, high = self.values[place - 1], self.values[place]
        return heights[place - 1] + (heights[place] - heights[place - 1]) * (value - low) / (high - low)

    def _is_beyond(self, more_than: float) -> bool:
        return more_than > 0 and 1.0 - self._at(more_than, self.below) <= max(1e-9, 1.0 - self.below[-1] + 1e-9)

    def chance(self, within: float, more_than: float = 0.0) -> float:
        """Probability to need at most `within`, given that it needs more than `more_than`."""
        if within <= more_than:
            return 0.0
        if self._is_beyond(more_than):
            return 1.0 - more_than / within
        under = self._at(more_than, self.below)
        return (self._at(within, self.below) - under) / (1.0 - under)

    def useful(self, within: float, more_than: float = 0.0) -> float:
        """Expected work that ends well if it gets `within`: its duration if it ends in time, else nothing."""
        if within <= more_than:
            return 0.0
        if self._is_beyond(more_than):
            return more_than * math.log(within / more_than)
        under = self._at(more_than, self.below)
        return (self._at(within, self.part) - self._at(more_than, self.part)) / (1.0 - under)

    def held(self, within: float, more_than: float = 0.0) -> float:
        """How long it is expected to run if it is cut off at `within`."""
        return self.useful(within, more_than) + within * (1.0 - self.chance(within, more_than))

    def quantile(self, probability: float, more_than: float = 0.0) -> float:
        """The value within which that part of those that need more than `more_than` end; infinite if that was never seen."""
        if self._is_beyond(more_than):
            return more_than / (1.0 - probability) if probability < 1.0 else math.inf
        under = self._at(more_than, self.below)
        wanted = under + probability * (1.0 - under)
        place = bisect_left(self.below, wanted - 1e-12)
        if place == len(self.below):
            return math.inf
        if place == 0:
            return max(self.values[0], more_than)
        low, high = self.below[place - 1], self.below[place]
        step = (wanted - low) / (high - low)
        return max(self.values[place - 1] + (self.values[place] - self.values[place - 1]) * step, more_than)

    @property
    def mean(self) -> float:
        """The expected duration; what may need more than anything seen counts as the greatest seen."""
        return self.part[-1] + self.values[-1] * (1.0 - self.below[-1])


def _weights(tally: Tally, prior: Prior, running: Iterable[float]) -> dict[int, tuple[float, float]]:
    """Class -> (ended in it, known to need more)."""
    normal = NormalDist(math.log(prior.median), prior.sigma)
    ended: dict[int, float] = dict(tally.finished)
    for point in range(_PRIOR_POINTS):
        number = _class_of(math.exp(normal.inv_cdf((point + 0.5) / _PRIOR_POINTS)))
        ended[number] = ended.get(number, 0.0) + prior.weight / _PRIOR_POINTS
    longer: dict[int, float] = dict(tally.interrupted)
    for value in running:
        _count(longer, value)
    return {number: (ended.get(number, 0.0), longer.get(number, 0.0)) for number in sorted(ended.keys() | longer.keys())}


def learn(tally: Tally, prior: Prior, running: Iterable[float] = ()) -> Curve:
    """The distribution that a tally shows.

    `running`: how long those that run now have run; without them the first ends, which are the short ones, would pass for all.
    """
    weights = _weights(tally, prior, running)
    at_risk = sum(ended + longer for ended, longer in weights.values())
    surviving, part = 1.0, 0.0
    points: list[tuple[float, float, float]] = []
    for number, (ended, longer) in weights.items():
        low, high = math.exp(number * _GROWTH), math.exp((number + 1) * _GROWTH)
        if ended:
            if not points or points[-1][0] < low:
                points.append((low, 1.0 - surviving, part))
            share = surviving * min(1.0, ended / at_risk)
            surviving, part = surviving - share, part + share * (low + high) / 2
            points.append((high, 1.0 - surviving, part))
        at_risk -= ended + longer
    values, below, parts = zip(*points, strict=True)
    return Curve(values=values, below=below, part=parts)


def tally_of(finished: Iterable[float], interrupted: Iterable[float] = ()) -> Tally:
    """A tally of plain lists, as old logs give them."""
    tally = Tally()
    for value in finished:
        tally.finish(value)
    for value in interrupted:
        tally.interrupt(value)
    return tally
