"""Durations and memory: what each dialect's texts mean, and that nonsense is refused with a way out."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import BadQuantity
from tasks.quantity import (
    MAX_DURATION_S,
    Dialect,
    format_duration,
    format_memory,
    format_walltime,
    parse_count,
    parse_duration,
    parse_memory,
)

H = 3600.0


@pytest.mark.parametrize(
    ("text", "dialect", "seconds"),
    [
        ("11h", Dialect.NUNATAK, 11 * H),
        ("90m", Dialect.NUNATAK, 1.5 * H),
        ("90min", Dialect.NUNATAK, 1.5 * H),
        ("1.5 hours", Dialect.NUNATAK, 1.5 * H),
        ("1h30m", Dialect.NUNATAK, 1.5 * H),
        ("1d 12h", Dialect.NUNATAK, 36 * H),
        ("30S", Dialect.NUNATAK, 30),
        ("11:00:00", Dialect.NUNATAK, 11 * H),
        ("100:00:00", Dialect.NUNATAK, 100 * H),
        ("2-00:00:00", Dialect.NUNATAK, 48 * H),
        ("2-0", Dialect.NUNATAK, 48 * H),
        ("1-12:30", Dialect.NUNATAK, 36.5 * H),
        ("30", Dialect.SBATCH, 1800),
        ("30:15", Dialect.SBATCH, 1815),
        ("11:00:00", Dialect.SBATCH, 11 * H),
        ("2-00", Dialect.SBATCH, 48 * H),
        ("0", Dialect.SBATCH, math.inf),
        ("UNLIMITED", Dialect.SBATCH, math.inf),
        ("3600", Dialect.PBS, H),
        ("11:00", Dialect.PBS, 660),
        ("11:00:00", Dialect.PBS, 11 * H),
        ("2:00:00:00", Dialect.PBS, 48 * H),
    ],
)
def test_a_duration_means_what_its_source_says(text: str, dialect: Dialect, seconds: float) -> None:
    assert parse_duration(text, dialect) == seconds


@pytest.mark.parametrize(
    ("text", "dialect", "hint"),
    [
        ("11", Dialect.NUNATAK, "11h, 11m or 11s"),
        ("11:00", Dialect.NUNATAK, "11:00:00"),
        ("1:2:3:4", Dialect.NUNATAK, "11:00:00"),
        ("1:2:3:4", Dialect.SBATCH, "11:00:00"),
        ("11:75:00", Dialect.NUNATAK, "59 minutes"),
        ("0h", Dialect.NUNATAK, "more than 0"),
        ("9999d", Dialect.NUNATAK, "at most a year"),
        ("-3h", Dialect.NUNATAK, "not a duration"),
        ("eleven", Dialect.NUNATAK, "not a duration"),
        ("11w", Dialect.NUNATAK, "not a duration"),
        ("", Dialect.NUNATAK, "a duration"),
        ("nan", Dialect.NUNATAK, "not a duration"),
        ("UNLIMITED", Dialect.NUNATAK, "not a duration"),
        ("١١h", Dialect.NUNATAK, "not a duration"),
    ],
)
def test_a_duration_that_can_be_misread_is_refused_with_a_way_to_write_it(text: str, dialect: Dialect, hint: str) -> None:
    with pytest.raises(BadQuantity, match=hint) as caught:
        parse_duration(text, dialect)
    assert repr(text) in str(caught.value)


@given(st.integers(1, MAX_DURATION_S))
def test_a_formatted_walltime_reads_back_as_itself(seconds: int) -> None:
    assert parse_duration(format_walltime(seconds)) == seconds
    assert parse_duration(format_walltime(seconds), Dialect.SBATCH) == seconds
    assert parse_duration(format_walltime(seconds), Dialect.PBS) == seconds


@given(st.text(max_size=20), st.sampled_from(Dialect))
def test_any_text_is_a_duration_in_range_or_is_refused(text: str, dialect: Dialect) -> None:
    try:
        seconds = parse_duration(text, dialect)
    except BadQuantity:
        return
    assert 0 < seconds <= MAX_DURATION_S or (seconds == math.inf and dialect is Dialect.SBATCH)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.47, "0.4s"),
        (9.99, "9.9s"),
        (59.9, "59s"),
        (60, "1m 00s"),
        (310, "5m 10s"),
        (3599, "59m 59s"),
        (39780, "11h 03m"),
        (183600, "2d 03h"),
        (-310, "-5m 10s"),
        (math.inf, "no limit"),
    ],
)
def test_a_duration_is_shown_in_two_units_at_most(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "dialect", "megabytes"),
    [
        ("90G", Dialect.NUNATAK, 92160),
        ("90GB", Dialect.NUNATAK, 92160),
        ("90GiB", Dialect.NUNATAK, 92160),
        ("4000M", Dialect.NUNATAK, 4000),
        ("1.5g", Dialect.NUNATAK, 1536),
        ("1K", Dialect.NUNATAK, 1),
        ("4000", Dialect.SBATCH, 4000),
        ("90G", Dialect.SBATCH, 92160),
        ("0", Dialect.SBATCH, 0),
        ("90gb", Dialect.PBS, 92160),
        ("1073741824", Dialect.PBS, 1024),
    ],
)
def test_memory_means_what_its_source_says(text: str, dialect: Dialect, megabytes: int) -> None:
    assert parse_memory(text, dialect) == megabytes


@pytest.mark.parametrize("text", ["90", "lots", "0G", "-3G", "9999999T", "G", "", "90GG"])
def test_memory_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadQuantity, match="write"):
        parse_memory(text)


@pytest.mark.parametrize("text", ["10", "-1", "+5", "5.0", "", "five", "٥"])
def test_a_count_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(BadQuantity, match="from 0 to 9"):
        parse_count(text, 0, 9)


def test_a_count_in_range_is_read() -> None:
    assert [parse_count(text, 0, 9) for text in ("0", "7", "9")] == [0, 7, 9]


@pytest.mark.parametrize(("megabytes", "text"), [(512, "512M"), (92160, "90G"), (1536, "1.5G")])
def test_memory_is_shown_shortly(megabytes: int, text: str) -> None:
    assert format_memory(megabytes) == text
