"""Signals as people name them."""

import signal

import pytest

from tasks.errors import BadQuantity
from tasks.signals import parse_signal, signal_number


@pytest.mark.parametrize("text", ["USR2", "usr2", "SIGUSR2", " sigusr2 ", str(signal.SIGUSR2.value)])
def test_a_signal_has_one_name_however_it_is_written(text):
    assert parse_signal(text) == "USR2"
    assert signal_number(parse_signal(text)) == signal.SIGUSR2


def test_a_real_time_signal_is_a_number():
    assert parse_signal("40") == "40"
    assert signal_number("40") == 40


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("KILL", "cannot be caught"),
        ("9", "cannot be caught"),
        ("SIGCHLD", "something else"),
        ("USR3", "did you mean USR"),
        ("0", "no signal's number"),
        ("99", "no signal's number"),
        ("", "no signal"),
        ("-2", "no signal"),
    ],
)
def test_what_cannot_be_a_warning_is_refused_with_what_to_write(text, said):
    with pytest.raises(BadQuantity) as error:
        parse_signal(text)
    assert said in error.value.reason
    assert "USR2" in error.value.remedy
