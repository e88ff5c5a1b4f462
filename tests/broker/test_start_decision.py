"""What a slot starts: never what cannot end, never nothing while something is known to fit, and gambles at the right price."""

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.durations import ESTIMATED, Curve, Tally, learn, tally_of, unsaid
from broker.start_decision import FULL, LIKELY, Need, Slot, Why, chance_of, decide, need_of

HOUR = 3600.0
WALLTIME = 48 * HOUR
UNSAID = unsaid(WALLTIME)


@dataclass
class PlainLane:
    """A lane that looks at everything."""

    curve: Curve
    priority: int = 0
    needs: list[Need] = field(default_factory=list)

    def fresh(self, unit_at_most: float) -> Need | None:
        return max((n for n in self.needs if not n.more_than_s and n.unit <= unit_at_most), key=lambda n: n.unit, default=None)

    def needing(self, need_at_most_s: float) -> Need | None:
        found = (n for n in self.needs if n.more_than_s and n.need_s <= need_at_most_s)
        return max(found, key=lambda n: n.need_s, default=None)

    def least(self, more_than_below_s: float) -> Need | None:
        return max((n for n in self.needs if 0 < n.more_than_s < more_than_below_s), key=lambda n: n.more_than_s, default=None)


def exact(*hours: float, priority: int = 0) -> PlainLane:
    """Estimates that were always right."""
    needs = [Need(id=number, unit=hour * HOUR) for number, hour in enumerate(hours)]
    return PlainLane(learn(tally_of([1.0] * 1000), ESTIMATED), priority, needs)


def unsaid(*more_than_h: float, seen: tuple[float, ...] = ()) -> PlainLane:
    """Without estimates; 0: never interrupted."""
    curve = learn(tally_of([hour * HOUR for hour in seen]), UNSAID)
    needs = []
    for number, hour in enumerate(more_than_h):
        need_s = need_of(curve, 1.0, hour * HOUR, WALLTIME) if hour else 0.0
        needs.append(Need(id=number, more_than_s=hour * HOUR, need_s=need_s))
    return PlainLane(curve, 0, needs)


def slot(remaining_h: float, charged_h: float = 0.0, price: float = 1.0) -> Slot:
    return Slot(remaining_s=remaining_h * HOUR, longest_s=WALLTIME, charged_s=charged_h * HOUR, price=price)


def test_the_longest_that_fits_is_started():
    choice = decide(slot(10), [exact(3, 9, 12, 6)])
    assert (choice.why, choice.need.unit) == (Why.FITS, 9 * HOUR)
    assert choice.chance > 0.9


def test_the_higher_priority_goes_first_among_those_that_fit():
    choice = decide(slot(10), [exact(9), exact(2, priority=5)])
    assert choice.need.unit == 2 * HOUR
    assert decide(slot(10), [exact(9), exact(30, priority=5)]).need.unit == 9 * HOUR


def test_at_the_start_of_a_block_the_longest_interrupted_one_goes_first():
    lane = unsaid(0, 0, 12, 30, seen=(9.0,) * 50)
    assert decide(slot(48), [lane]).need.more_than_s == 30 * HOUR


def test_near_the_end_an_interrupted_one_waits_and_a_fresh_one_is_tried():
    lane = unsaid(0, 20, seen=tuple(range(1, 31)))
    choice = decide(slot(10, charged_h=10), [lane])
    assert (choice.why, choice.need.more_than_s) == (Why.GAMBLE, 0.0)


def test_a_gamble_is_made_where_the_node_is_charged_anyway_and_not_where_it_is_kept_for_that_alone():
    lane = unsaid(0, seen=(9.0,) * 50 + (3.0,) * 10)
    assert decide(slot(5, charged_h=5, price=40), [lane]).why is Why.GAMBLE
    assert decide(slot(5, charged_h=0, price=40), [lane]).why is Why.DEAR


def test_an_interrupted_one_whose_time_would_fit_is_a_gamble_when_nothing_else_waits():
    lane = unsaid(5, seen=tuple(range(1, 31)))
    choice = decide(slot(12, charged_h=12), [lane])
    assert (choice.why, choice.need.more_than_s) == (Why.GAMBLE, 5 * HOUR)


def test_one_whose_estimate_was_wrong_gets_the_longest_remainder_next():
    curve = exact().curve
    assert need_of(curve, 10 * HOUR, 40 * HOUR, WALLTIME) == FULL * WALLTIME
    lane = PlainLane(curve, 0, [Need(id=1, unit=10 * HOUR, more_than_s=40 * HOUR, need_s=FULL * WALLTIME), Need(id=2, unit=45 * HOUR)])
    assert decide(slot(48), [lane]).need.id == 1
    assert decide(slot(47), [lane]).need.id == 2


def test_what_had_the_longest_remainder_and_did_not_end_can_end_in_no_block():
    assert need_of(unsaid().curve, 1.0, WALLTIME, WALLTIME) == math.inf
    lane = PlainLane(unsaid().curve, 0, [Need(id=1, more_than_s=WALLTIME, need_s=math.inf)])
    assert decide(slot(48), [lane]).why is Why.UNFIT


def test_at_the_start_of_a_block_even_a_doubtful_one_is_started_at_any_price():
    curve = learn(tally_of([1.0] * 50 + [0.8] * 10), ESTIMATED)
    lane = PlainLane(curve, 0, [Need(id=1, unit=55 * HOUR)])
    choice = decide(slot(48, price=40), [lane])
    assert choice.why is Why.FITS
    assert choice.chance < LIKELY
    assert decide(slot(40, price=40), [lane]).why in (Why.DEAR, Why.UNFIT)


def test_what_has_no_chance_in_the_remainder_is_unfit_and_not_dear():
    part = (0.0, 0.5 * HOUR, 0.5 * HOUR, 15.5 * HOUR)
    curve = Curve(values=(HOUR, 1.01 * HOUR, 30 * HOUR, 30.2 * HOUR), below=(0.0, 0.5, 0.5, 1.0), part=part)
    lane = PlainLane(curve, 0, [Need(id=1, more_than_s=5 * HOUR, need_s=30 * HOUR)])
    assert decide(slot(20, charged_h=20), [lane]).why is Why.UNFIT


def test_nothing_waits():
    assert decide(slot(48), []).why is Why.EMPTY
    assert decide(slot(48), [exact()]).why is Why.EMPTY


# -- for all -------------------------------------------------------------------------------------------------------------------------------

HOURS = st.floats(0.1, 70.0)


@st.composite
def lanes(draw: st.DrawFn) -> PlainLane:
    has_estimates = draw(st.booleans())
    values = draw(st.lists(st.floats(0.5, 2.0) if has_estimates else HOURS.map(lambda h: h * HOUR), max_size=40))
    curve = learn(tally_of(values), ESTIMATED if has_estimates else UNSAID)
    needs = []
    for number in range(draw(st.integers(0, 6))):
        unit = draw(HOURS) * HOUR if has_estimates else 1.0
        more_than = draw(st.one_of(st.just(0.0), st.floats(0.1, 48.0))) * HOUR
        need_s = need_of(curve, unit, more_than, WALLTIME) if more_than else 0.0
        needs.append(Need(id=number, unit=unit, more_than_s=more_than, need_s=need_s))
    return PlainLane(curve, draw(st.integers(0, 2)), needs)


SLOTS = st.builds(slot, st.floats(0.01, 48.0), st.floats(0.0, 48.0), st.floats(1.0, 40.0))
MANY = st.lists(lanes(), max_size=4)


@given(SLOTS, MANY)
def test_what_cannot_end_is_never_started(given_slot, found):
    choice = decide(given_slot, found)
    if choice.need is not None:
        assert choice.chance > 0
        assert choice.need.more_than_s < given_slot.remaining_s
        assert choice.chance == pytest.approx(chance_of(choice.lane.curve, choice.need, given_slot.remaining_s))


@given(SLOTS, MANY)
def test_no_slot_idles_or_gambles_while_something_known_to_fit_waits(given_slot, found):
    fits = [
        need
        for lane in found
        for need in lane.needs
        if (need.need_s or need.unit * lane.curve.quantile(LIKELY)) <= given_slot.remaining_s
    ]  # fmt: skip
    if fits:
        assert decide(given_slot, found).why is Why.FITS


@given(MANY, st.floats(FULL, 1.0))
def test_at_the_start_of_a_block_an_interrupted_one_that_has_a_hope_never_goes_after_a_shorter_one(found, part):
    given_slot = Slot(remaining_s=part * WALLTIME, longest_s=WALLTIME)
    choice = decide(given_slot, found)
    for lane in found:
        for need in lane.needs:
            if need.more_than_s and need.need_s < math.inf:
                assert choice.need is not None
                length = choice.need.need_s or choice.need.unit * choice.lane.curve.quantile(0.05)
                assert (choice.lane.priority, length) >= (lane.priority, need.need_s)


@given(st.floats(1.0, 100.0), st.floats(0.1, 47.0), st.lists(st.floats(0.5, 2.0), max_size=20))
def test_whoever_was_interrupted_waits_for_more_than_it_has_had(unit_h, more_than_h, ratios):
    need_s = need_of(learn(tally_of(ratios), ESTIMATED), unit_h * HOUR, more_than_h * HOUR, WALLTIME)
    assert more_than_h * HOUR < need_s <= WALLTIME


def test_with_nothing_learned_a_fresh_block_starts_something():
    lane = PlainLane(learn(Tally(), UNSAID), 0, [Need(id=1)])
    assert decide(slot(48, price=40), [lane]).why is Why.FITS
