"""When a node leaves by itself."""

from dataclasses import replace

import pytest

from tasks.leaving import Standing, reason_to_leave, state_of
from tasks.settings import WorkerSettings

SETTINGS = WorkerSettings(home="/home", block="b1", node="c101", idle_s=300.0, no_broker_idle_s=1800.0)
BUSY = Standing(running=1, open_claims=1, idle_s=0.0, silent_s=0.0, told=None, now=1000.0)
IDLE = replace(BUSY, running=0, open_claims=0, idle_s=300.0)


def test_a_node_leaves_when_it_has_been_idle_for_long_enough():
    assert reason_to_leave(SETTINGS, replace(IDLE, idle_s=299.0)) is None
    assert reason_to_leave(SETTINGS, IDLE) == "idle for 300 s"


def test_an_idle_node_stays_until_the_least_charged_time_is_over():
    paid = replace(SETTINGS, stay_until_unix=1900.0)
    assert reason_to_leave(paid, replace(IDLE, idle_s=899.0, now=1899.0)) is None
    assert reason_to_leave(paid, replace(IDLE, idle_s=900.0, now=1900.0)) == "idle for 300 s"


@pytest.mark.parametrize("told", [None, ("drain", ""), ("bad", "jobfiles fail here only")])
def test_no_node_leaves_what_it_runs(told):
    assert reason_to_leave(SETTINGS, replace(BUSY, told=told, idle_s=9999.0, silent_s=9999.0)) is None


def test_a_drained_node_leaves_as_soon_as_nothing_runs_whatever_is_paid():
    node = replace(IDLE, idle_s=0.0, told=("drain", ""))
    assert reason_to_leave(replace(SETTINGS, stay_until_unix=9999.0), node) == "its block is drained"


def test_a_node_that_was_warned_of_its_end_leaves_as_soon_as_nothing_runs_and_all_is_handed_back():
    node = replace(IDLE, idle_s=0.0, warned=True)
    assert reason_to_leave(replace(SETTINGS, stay_until_unix=9999.0), node) == "its block ends soon and nothing runs"
    assert reason_to_leave(SETTINGS, replace(node, open_claims=1)) is None
    assert reason_to_leave(SETTINGS, replace(BUSY, warned=True)) is None


def test_a_bad_node_stays_as_long_as_an_idle_one_and_says_why_it_leaves():
    node = replace(IDLE, told=("bad", "3 jobfiles failed here that end well elsewhere"))
    assert reason_to_leave(SETTINGS, replace(node, idle_s=10.0)) is None
    assert reason_to_leave(replace(SETTINGS, stay_until_unix=1900.0), node) is None
    assert reason_to_leave(SETTINGS, node) == "idle for 300 s, bad node: 3 jobfiles failed here that end well elsewhere"


def test_a_node_without_a_broker_leaves_when_nothing_runs():
    assert reason_to_leave(SETTINGS, replace(IDLE, idle_s=10.0, silent_s=1799.0)) is None
    assert reason_to_leave(SETTINGS, replace(IDLE, idle_s=10.0, silent_s=1800.0)) == "no broker for 1800 s and nothing running"


def test_what_has_ended_keeps_a_node_until_the_broker_has_heard_of_it_or_is_away_for_too_long():
    ended = replace(IDLE, open_claims=1)
    assert reason_to_leave(SETTINGS, replace(ended, silent_s=1799.0)) is None
    assert reason_to_leave(SETTINGS, replace(ended, told=("drain", ""))) is None
    assert reason_to_leave(SETTINGS, replace(ended, silent_s=1800.0)) == "no broker for 1800 s and nothing running"


def test_the_state_that_is_shown():
    assert state_of(None, leaving=False) == "running"
    assert state_of(("drain", ""), leaving=False) == "draining"
    assert state_of(("bad", "why"), leaving=False) == "bad"
    assert state_of(("bad", "why"), leaving=True) == "leaving"
