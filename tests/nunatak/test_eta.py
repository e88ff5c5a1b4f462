"""How long the rest takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak.eta import eta_s, format_eta, usable_slots


def test_nothing_left_takes_no_time():
    assert eta_s(0, 0, 4, []) == (0.0, 0.0)


def test_nothing_is_known_before_the_first_end():
    assert eta_s(10, 2, 4, []) is None


def test_nothing_is_known_without_a_slot():
    assert eta_s(10, 0, 0, [60.0]) is None


def test_equal_durations_give_a_narrow_range_around_the_truth():
    low, high = eta_s(96, 4, 4, [100.0] * 50)
    assert low <= 25 * 100 <= high
    assert high - low <= 2 * 100


def test_the_last_running_ones_may_end_at_once_or_take_as_long_as_the_longest():
    assert eta_s(0, 2, 4, [50.0, 70.0, 60.0]) == (0.0, 70.0)


def test_a_single_duration_gives_a_wide_range():
    low, high = eta_s(100, 0, 1, [60.0])
    assert low <= 6000 <= high


def test_more_slots_take_less_time():
    durations = [30.0, 60.0, 90.0]
    assert eta_s(100, 8, 8, durations)[1] < eta_s(100, 8, 2, durations)[1]


@given(
    queued=st.integers(0, 10**6), running=st.integers(0, 10**4), slots=st.integers(1, 10**4),
    durations=st.lists(st.floats(0.0, 2e5), min_size=1, max_size=30),
)  # fmt: skip
def test_low_is_never_above_high_nor_below_zero(queued, running, slots, durations):
    low, high = eta_s(queued, running, slots, durations)
    assert 0 <= low <= high


@pytest.mark.parametrize(
    ("slots", "per_nodes", "usable"),
    [([4, 4], [2], 4), ([4, 4], [0], 8), ([4, 4], [], 8), ([4, 4], [1, 2], 4), ([1], [2], 1), ([], [2], 0)],
)
def test_shares_bound_the_slots_of_each_node(slots, per_nodes, usable):
    assert usable_slots(slots, per_nodes) == usable


@pytest.mark.parametrize(
    ("eta", "text"),
    [
        (None, ""),
        ((3.2, 8.1), "about 4s to 9s"),
        ((100.0, 110.0), "about 2m"),
        ((11000.0, 15000.0), "about 3h 00m to 4h 10m"),
        ((0, 500000.0), "at most 5d 18h"),
    ],
)
def test_it_reads_well(eta, text):
    assert format_eta(eta) == text
