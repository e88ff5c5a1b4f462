"""Failures in a row, read off the blocks' records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from site_blocks import HOUR, NOW, block

from launcher.back_off import Fate, Trouble, fate, trouble, wait_s
from launcher.block import BlockState
from launcher.slurm_state import NEVER_SUBMITTED

YOUNG = {"started_at": NOW - HOUR, "ended_at": NOW - HOUR + 60}
LONG = {"started_at": NOW - HOUR, "ended_at": NOW}


@pytest.mark.parametrize(
    ("one", "heard", "expected"),
    [
        (block(state=BlockState.INTENDED, job_id=""), False, Fate.OPEN),
        (block(state=BlockState.UNKNOWN, job_id="", started_at=None), False, Fate.OPEN),
        (block(state=BlockState.FAILED, job_id="", started_at=None, reason="sbatch: Invalid account"), False, Fate.REFUSED),
        (block(state=BlockState.FAILED, job_id="", started_at=None, reason=f"{NEVER_SUBMITTED}: sbatch hung"), False, Fate.REFUSED),
        # Its launcher was killed before sbatch: nobody has refused anything.
        (block(state=BlockState.FAILED, job_id="", started_at=None, reason=NEVER_SUBMITTED), False, Fate.OPEN),
        (block(state=BlockState.WAITING), False, Fate.TAKEN),
        (block(state=BlockState.RUNNING, started_at=NOW - 60), False, Fate.TAKEN),
        (block(state=BlockState.RUNNING, started_at=NOW - 60), True, Fate.WELL),
        (block(state=BlockState.RUNNING), False, Fate.WELL),
        (block(state=BlockState.FAILED, **YOUNG), False, Fate.DIED_YOUNG),
        (block(state=BlockState.FAILED, **YOUNG), True, Fate.DIED_YOUNG),
        (block(state=BlockState.FAILED, **LONG), False, Fate.WELL),
        # Exit code 0, and none of its nodes ever said a word: `worker_init` ended it.
        (block(state=BlockState.ENDED, **YOUNG), False, Fate.DIED_YOUNG),
        (block(state=BlockState.ENDED, **YOUNG), True, Fate.WELL),
        (block(state=BlockState.FAILED, started_at=None, ended_at=NOW), False, Fate.DIED_YOUNG),
        # Somebody wanted its end.
        (block(state=BlockState.CANCELLED, **YOUNG), False, Fate.TAKEN),
        (block(state=BlockState.FAILED, cancelled_at=NOW - HOUR, **YOUNG), False, Fate.TAKEN),
    ],
)
def test_what_became_of_a_submission(one, heard, expected):
    assert fate(one, heard, NOW) is expected


def dead(number, at=NOW - 100.0):
    return block(number, BlockState.FAILED, started_at=at - 30, ended_at=at, reason="exit code 127")


def refused(number, at=NOW - 100.0):
    return block(number, BlockState.FAILED, job_id="", started_at=None, ended_at=at, reason="Invalid account")


def trouble_of(*blocks, since=0.0, heard=()):
    return trouble(blocks, heard, since=since, now=NOW)


@pytest.mark.parametrize(
    ("blocks", "deaths", "refusals"),
    [
        ([], 0, 0),
        ([dead(1)], 1, 0),
        ([dead(1), dead(2), dead(3)], 3, 0),
        # The one that runs well was submitted before them: they are a row all the same.
        ([block(1), dead(2), dead(3)], 2, 0),
        ([dead(1), dead(2), block(3)], 0, 0),
        ([dead(1), block(2), dead(3)], 1, 0),
        # One that waits proves nothing of blocks, but that submissions are taken.
        ([dead(1), block(2, BlockState.WAITING), refused(3)], 1, 1),
        ([refused(1), block(2, BlockState.WAITING)], 0, 0),
        ([refused(1), refused(2), dead(3)], 1, 0),
        ([refused(1), block(2, BlockState.INTENDED, job_id=""), refused(3)], 0, 2),
    ],
)
def test_failures_are_counted_in_the_order_of_submission_back_to_the_last_success(blocks, deaths, refusals):
    found = trouble_of(*blocks)
    assert (found.deaths, found.refusals) == (deaths, refusals)


def test_what_ended_before_a_person_said_go_is_forgiven():
    assert trouble_of(dead(1, NOW - 500), dead(2, NOW - 400), dead(3, NOW - 300), since=NOW - 350).deaths == 1
    assert trouble_of(dead(1, NOW - 500), since=NOW - 350) == Trouble()


def test_the_back_off_is_1_15_30_and_60_minutes_and_counts_from_the_last_failure():
    rows = [[refused(n, NOW - 1000 + n) for n in range(1, count + 1)] for count in range(1, 7)]
    waits = [(trouble_of(*row).not_before - (NOW - 1000 + len(row))) / 60 for row in rows]
    assert waits == [1, 15, 30, 60, 60, 60]
    assert trouble_of().not_before == 0


@given(st.integers(0, 50))
def test_the_back_off_never_becomes_shorter_with_more_failures(count):
    assert 0 <= wait_s(count) <= wait_s(count + 1) <= 3600


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ([dead(1), dead(2)], ""),
        ([dead(n) for n in (1, 2, 3)], "3 blocks in a row died young, the last one b"),
        ([refused(n) for n in range(1, 10)], ""),
        ([refused(n) for n in range(1, 11)], "10 submissions in a row failed, the last one b"),
    ],
)
def test_three_young_deaths_or_ten_refusals_in_a_row_need_a_person(blocks, words):
    pause = trouble_of(*blocks).pause
    assert pause.startswith(words)
    assert bool(pause) is bool(words)
