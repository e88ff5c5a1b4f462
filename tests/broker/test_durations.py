"""What is known of durations: censored ones count for what they show, chances and quantiles agree, nothing is ever certain."""

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.durations import ESTIMATED, Curve, Prior, Tally, learn, tally_of, unsaid

HOUR = 3600.0
UNSAID = unsaid(48 * HOUR)
SECONDS = st.floats(60.0, 200_000.0)
FAINT = Prior(median=11 * HOUR, sigma=0.8, weight=0.01)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    tally = tally_of(draw(st.lists(SECONDS, max_size=30)), draw(st.lists(SECONDS, max_size=10)))
    return learn(tally, UNSAID, draw(st.lists(SECONDS, max_size=5)))


def test_before_anything_was_seen_the_prior_says_what_is_typical():
    curve = learn(Tally(), UNSAID)
    assert curve.quantile(0.5) == pytest.approx(11 * HOUR, rel=0.05)
    assert 0.01 < curve.chance(3 * HOUR) < 0.1
    assert learn(Tally(), ESTIMATED).quantile(0.5) == pytest.approx(1.0, rel=0.05)


def test_many_that_ended_outweigh_the_prior():
    curve = learn(tally_of([2 * HOUR] * 500), UNSAID)
    assert curve.quantile(0.5) == pytest.approx(2 * HOUR, rel=0.01)
    assert curve.chance(2.05 * HOUR) > 0.99
    assert curve.chance(1.9 * HOUR) < 0.01
    assert curve.mean == pytest.approx(2 * HOUR, rel=0.05)


def test_interrupted_jobfiles_count_as_needing_more():
    # Kaplan and Meier by hand: of 10, two end at 1 h (0.8 survive), four are cut off at 2 h, two of the last four end at 3 h.
    curve = learn(tally_of([HOUR] * 2 + [3 * HOUR] * 2 + [9 * HOUR] * 2, [2 * HOUR] * 4), FAINT)
    assert curve.chance(1.5 * HOUR) == pytest.approx(0.2, abs=0.005)
    assert curve.chance(4 * HOUR) == pytest.approx(1 - 0.8 * 0.5, abs=0.005)
    assert curve.chance(4 * HOUR, 2 * HOUR) == pytest.approx(0.5, abs=0.005)


def test_forgetting_the_interrupted_would_make_all_seem_short():
    rng = random.Random(7)
    true = [HOUR * 9 * math.exp(0.55 * rng.gauss(0, 1)) for _ in range(3000)]
    limits = [rng.uniform(HOUR, 20 * HOUR) for _ in true]
    ended = [took for took, limit in zip(true, limits, strict=True) if took <= limit]
    cut = [limit for took, limit in zip(true, limits, strict=True) if took > limit]
    median = statistics.median(true)
    assert learn(tally_of(ended, cut), UNSAID).quantile(0.5) == pytest.approx(median, rel=0.06)
    assert learn(tally_of(ended), UNSAID).quantile(0.5) < 0.9 * median


def test_those_that_run_keep_the_first_ends_from_passing_for_all():
    first = learn(tally_of([HOUR] * 10), UNSAID, [HOUR * 1.01] * 90)
    assert first.chance(2 * HOUR) < 0.3
    assert learn(tally_of([HOUR] * 10), UNSAID).chance(2 * HOUR) > 0.6


def test_a_jobfile_counts_once_however_often_it_is_interrupted():
    tally = Tally()
    tally.interrupt(3 * HOUR)
    tally.interrupt(2 * HOUR, 3 * HOUR)
    tally.interrupt(5 * HOUR, 3 * HOUR)
    assert (tally.count, sum(tally.interrupted.values())) == (1, 1)
    tally.finish(7 * HOUR, 5 * HOUR)
    assert (tally.count, tally.interrupted) == (1, {})


def test_a_tally_is_small_whatever_the_number():
    rng = random.Random(3)
    tally = tally_of(HOUR * 9 * math.exp(0.55 * rng.gauss(0, 1)) for _ in range(50_000))
    assert tally.count == 50_000
    assert len(tally.finished) < 1200


def test_of_what_outlasted_all_others_a_longer_remainder_is_better_and_none_is_certain():
    curve = learn(tally_of([HOUR] * 100), Prior(median=HOUR, sigma=0.1))
    assert curve.chance(40 * HOUR, 20 * HOUR) == pytest.approx(0.5)
    assert 0.5 < curve.chance(48 * HOUR, 20 * HOUR) < 1
    assert curve.quantile(0.5, 20 * HOUR) == pytest.approx(40 * HOUR)


@given(curves(), SECONDS, SECONDS, st.floats(0.0, 200_000.0))
def test_a_chance_is_a_probability_and_grows_with_what_is_given(curve, one, other, more_than):
    low, high = sorted((one, other))
    assert 0.0 <= curve.chance(low, more_than) <= curve.chance(high, more_than) + 1e-9 <= 1.0 + 2e-9
    assert curve.chance(more_than, more_than) == 0.0


@given(curves(), st.floats(0.01, 0.99), st.floats(0.0, 200_000.0))
def test_a_quantile_is_where_the_chance_is_reached(curve, probability, more_than):
    value = curve.quantile(probability, more_than)
    assert value >= more_than
    if math.isfinite(value):
        assert curve.chance(value * (1 + 1e-9) + 1e-6, more_than) >= probability - 1e-6


@given(curves(), SECONDS, st.floats(0.0, 200_000.0))
def test_useful_work_is_part_of_what_is_held(curve, within, more_than):
    useful, held = curve.useful(within, more_than), curve.held(within, more_than)
    assert -1e-6 <= useful <= held + 1e-6
    assert held <= within * (1 + 0.006)
