"""What a free slot starts, or why nothing: a pure function of the block's remaining walltime, what waits, and what is known of durations.

First what is likely to end in time, the longest of it, because short ones fit later too; jobfiles that were interrupted stand among them by
what they will need, so the start of a fresh block is theirs. Then a gamble, the one with the most expected work, if that outweighs what it
is expected to cost: nothing while the block is charged anyway, the whole block if it would be kept for this alone. What has already needed
more than what remains is never started.

How a script on the server does the same with a million waiting. A lane (a campaign's group at one priority) is three zsets: `fresh`, scored
by estimate (1 for a group without estimates, whose curve is in seconds); `needs`, the interrupted ones by `need_s`; `least`, the same ones
by `more_than_s`. Whoever learns the curve (once a minute, from the tally: some hundreds of numbers) writes one row per group: the curve's
quantile at LIKELY, SOME and each of LEVELS, and its useful and held part for each quarter of an hour of remaining time. Then

    the longest fresh one with a chance of at least p:  ZREVRANGEBYSCORE fresh remaining/quantile(p) 0 LIMIT 0 1
    the longest interrupted one that fits:              ZREVRANGEBYSCORE needs remaining 0 LIMIT 0 1
    a gamble on an interrupted one:                     ZREVRANGEBYSCORE least (remaining 0 LIMIT 0 1

Each is O(log n), there are ten per lane at most, and nothing loops over what waits. Equal scores come in the order of their members there:
a member begins with its number counted down, so that the first comes first.
"""

import enum
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from broker.durations import Curve

#: With this chance to end in time a start is no gamble.
LIKELY = 0.85
#: The chances at which gambles are looked for.
LEVELS = (0.7, 0.5, 0.3, 0.15, 0.05, 0.01)
#: At the start of a block, the longest remainder that there will ever be, so much is enough. What has less can end in no block.
SOME = 0.05
#: Of the longest walltime: a remainder from this part on counts as the start of a block.
FULL = 0.995
#: A slot-hour that is charged is worth so much work elsewhere: what blocks reach on the whole.
WORTH = 0.8


class Why(enum.Enum):
    """Why a slot starts what it starts, or nothing."""

    #: It is likely to end in time.
    FITS = "fits"
    #: It may not end in time, but more is to be won than to be lost.
    GAMBLE = "gamble"
    #: Nothing waits.
    EMPTY = "empty"
    #: All that waits needs more than what remains.
    UNFIT = "unfit"
    #: Something might end in time, but the node costs more than that is worth.
    DEAR = "dear"


@dataclass(frozen=True, kw_only=True)
class Need:
    """A jobfile that waits, as far as it matters here."""

    id: int
    #: What it or its enqueuer says; 1 if its group has no estimates.
    unit: float = 1.0
    #: Its longest run that was interrupted; 0: none was.
    more_than_s: float = 0.0
    #: Of an interrupted one: the remainder that it waits for (`need_of`).
    need_s: float = 0.0


class Lane(Protocol):
    """What waits of one group, in order. Each look-up is one of an ordered set."""

    @property
    def curve(self) -> Curve:
        """Of durations in units."""

    @property
    def priority(self) -> int:
        """Higher ones go first among those that fit."""

    def fresh(self, unit_at_most: float) -> Need | None:
        """The one of the greatest unit up to that, of those that were never interrupted."""

    def needing(self, need_at_most_s: float) -> Need | None:
        """The one of the greatest need up to that, of the interrupted."""

    def least(self, more_than_below_s: float) -> Need | None:
        """The one with the longest run below that, of the interrupted."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A free slot."""

    #: Until the block ends.
    remaining_s: float
    #: The longest that any block has at its start.
    longest_s: float
    #: For how long the node is charged whatever this slot does: other slots, or other nodes of its block, are busy.
    charged_s: float = 0.0
    #: Slots that are charged for each one that a gamble would use, once `charged_s` is over.
    price: float = 1.0

    @property
    def is_first(self) -> bool:
        """Nothing can hope for a longer remainder than this."""
        return self.remaining_s >= FULL * self.longest_s


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The answer."""

    why: Why
    lane: Lane | None = None
    need: Need | None = None
    #: To end in time.
    chance: float = 0.0


def need_of(curve: Curve, unit: float, more_than_s: float, longest_s: float) -> float:
    """The remainder that an interrupted jobfile waits for: one in which it is likely to end, at most the longest that there is.

    Infinite if it has had that one: it can end in no block.
    """
    if more_than_s >= FULL * longest_s:
        return math.inf
    return min(FULL * longest_s, max(more_than_s, unit * curve.quantile(LIKELY, more_than_s / unit)))


def chance_of(curve: Curve, need: Need, within_s: float) -> float:
    """That it ends within that time."""
    return curve.chance(within_s / need.unit, need.more_than_s / need.unit)


def decide(slot: Slot, lanes: Iterable[Lane]) -> Choice:
    """What this slot starts, or why nothing."""
    lanes = tuple(lanes)
    return _fitting(slot, lanes) or _gamble(slot, lanes)


def _fitting(slot: Slot, lanes: Iterable[Lane]) -> Choice | None:
    """The longest that is likely to end in time, of the highest priority that has one."""
    best: tuple[int, float] | None = None
    choice = None
    for lane in lanes:
        likely = lane.curve.quantile(SOME if slot.is_first else LIKELY)
        fresh, interrupted = lane.fresh(slot.remaining_s / likely), lane.needing(slot.remaining_s)
        for need in (interrupted, fresh):
            if need is None:
                continue
            rank = (lane.priority, need.need_s or need.unit * likely)
            if best is None or rank > best:
                best, choice = rank, Choice(why=Why.FITS, lane=lane, need=need, chance=chance_of(lane.curve, need, slot.remaining_s))
    return choice


def _candidates(slot: Slot, lane: Lane) -> Iterator[Need]:
    for level in LEVELS:
        if (fresh := lane.fresh(slot.remaining_s / lane.curve.quantile(level))) is not None:
            yield fresh
    # Longest run first: at a half of what remains, then at any part of it.
    for part in (0.5, 1.0):
        if (interrupted := lane.least(slot.remaining_s * part)) is not None:
            yield interrupted


def _gamble(slot: Slot, lanes: tuple[Lane, ...]) -> Choice:
    best, choice = 0.0, None
    might = False
    for lane in lanes:
        for need in _candidates(slot, lane):
            chance = chance_of(lane.curve, need, slot.remaining_s)
            if chance <= 0:
                continue
            might = True
            if (gain := _gain(slot, lane.curve, need)) > best:
                best, choice = gain, Choice(why=Why.GAMBLE, lane=lane, need=need, chance=chance)
    return choice or Choice(why=_why_not(lanes, might))


def _why_not(lanes: Iterable[Lane], might: bool) -> Why:
    if might:
        return Why.DEAR
    waits = any(lane.fresh(math.inf) or lane.needing(math.inf) for lane in lanes)
    return Why.UNFIT if waits else Why.EMPTY


def _gain(slot: Slot, curve: Curve, need: Need) -> float:
    """Expected work of a gamble, less what the time for which the node is kept longer would have been worth."""
    within, more_than = slot.remaining_s / need.unit, need.more_than_s / need.unit
    anyway = min(within, slot.charged_s / need.unit)
    longer = curve.held(within, more_than) - curve.held(anyway, more_than)
    return need.unit * (curve.useful(within, more_than) - WORTH * slot.price * longer)
