"""A campaign's options as `nunatak set` takes them: names, values, and what the server keeps of them."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from broker.records import Campaign
from nunatak.errors import WrongUse
from nunatak.relaning import LaneChange
from nunatak.shown import OPTION_NAMES
from tasks.done_rule import DoneRule
from tasks.errors import BadInput
from tasks.quantity import parse_count, parse_duration, parse_memory
from tasks.signals import parse_signal


class BadOption(WrongUse):
    """An option that does not exist, or a value that it cannot have. The text says what to write."""


def _count(low: int, high: int) -> Callable[[str], str]:
    return lambda text: str(parse_count(text, low, high))


def _seconds(text: str) -> str:
    return f"{parse_duration(text):.0f}"


def _megabytes(text: str) -> str:
    return str(parse_memory(text))


def _rule(text: str) -> str:
    DoneRule.parse_for_campaign(text)
    return text


def _folder(text: str) -> str:
    return str(Path(text).expanduser().resolve())


#: A campaign's priority when nobody has given one; 0 is the last to start, 9 the first.
DEFAULT_PRIORITY = 5
#: Field in the server -> how a value is read; the names on the command line are nunatak.shown.OPTION_NAMES.
_READ: Mapping[str, Callable[[str], str]] = {
    "done": _rule,
    "per_node": _count(1, 1024),
    "priority": _count(0, 9),
    "retries": _count(0, 1000),
    "max_fails": _count(0, 1_000_000),
    "time_s": _seconds,
    "max_s": _seconds,
    "cpus": _count(1, 4096),
    "mem_mb": _megabytes,
    "logs": _folder,
    "checkpoint_signal": parse_signal,
    "grace_s": _seconds,
}
_FIELDS = {name: field for field, name in OPTION_NAMES.items()}


def parse_options(words: Iterable[str]) -> dict[str, str]:
    """`per_node=2 time=11h` as the server's fields; an empty value is the default again. Raises BadOption."""
    return dict(map(_parse, words))


def _parse(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise BadOption(f"{word!r} is no NAME=VALUE; write for example retries=5 (or retries= for the default)")
    field = _FIELDS.get(name.strip().lower().replace("-", "_"))
    if field is None:
        raise BadOption(f"there is no option {name!r}; {_alike(name)}")
    if field == "done" and not value.strip():
        raise BadOption("done= needs a rule; write done=exit-code to judge by the exit code alone")
    try:
        return field, _READ[field](value.strip()) if value.strip() else ""
    except BadInput as error:
        raise BadOption(f"{name}: {error}") from error


def _alike(name: str) -> str:
    close = difflib.get_close_matches(name, _FIELDS, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"the options are {', '.join(_FIELDS)}"


def changed(campaign: Campaign, options: Mapping[str, str]) -> dict[str, str]:
    """Those options that differ from what the campaign has."""
    return {field: value for field, value in options.items() if campaign.options.get(field, "") != value}


def lane_change(options: Mapping[str, str], default_priority: int) -> LaneChange:
    """What of the lanes these options decide; a default again is the value that an unset option has."""

    def number(field: str, default: float) -> float | None:
        return None if field not in options else float(options[field] or default)

    priority, per_node = number("priority", default_priority), number("per_node", 0)
    return LaneChange(
        priority=None if priority is None else int(priority),
        per_node=None if per_node is None else int(per_node),
        estimate_s=number("time_s", 0),
    )


def as_typed(options: Mapping[str, str]) -> str:
    """Options with the names that a user types, for a message."""
    return " ".join(f"{OPTION_NAMES[field]}={value or '(default)'}" for field, value in options.items())
