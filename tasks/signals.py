"""Signals as people name them: `USR2`, `SIGUSR2`, `usr2` or 12."""

import difflib
import signal

from tasks.errors import BadQuantity

#: Nobody can catch the first two; the others say something else to every process, or are the C library's own.
_USELESS = {"KILL", "STOP", "CHLD", "CONT", "TSTP", "TTIN", "TTOU"}
_REMEDY = "use USR1, USR2 or TERM, as `kill -l` names them"
_NUMBERS = {member.name.removeprefix("SIG"): member.value for member in signal.Signals}


def parse_signal(text: str) -> str:
    """The signal's name without `SIG` (a real-time signal's number, as text); raises BadQuantity."""
    word = text.strip().upper().removeprefix("SIG")
    name = _name_of(int(word), text) if word.isdecimal() else word
    if name in _USELESS:
        raise BadQuantity(f"{text!r} cannot be caught, or means something else to every process", "use USR1, USR2 or TERM")
    if name not in _NUMBERS and not name.isdecimal():
        close = difflib.get_close_matches(name, _NUMBERS, n=1)
        raise BadQuantity(f"{text!r} is no signal{f'; did you mean {close[0]}?' if close else ''}", _REMEDY)
    return name


def _name_of(number: int, text: str) -> str:
    for name, value in _NUMBERS.items():
        if value == number:
            return name
    if signal.SIGRTMIN < number < signal.SIGRTMAX:
        return str(number)
    raise BadQuantity(f"{text!r} is no signal's number", _REMEDY)


def signal_number(name: str) -> int:
    """Of what `parse_signal` has returned."""
    return int(name) if name.isdecimal() else _NUMBERS[name]
