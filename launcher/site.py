"""A site: what one cluster's, or one machine's, blocks look like and are allowed."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: The providers that exist; launcher/providers.py knows what each is.
PROVIDERS = ("local",)

#: HH:MM:SS or D-HH:MM:SS. Parsl reads "00:00:30" as no limit and refuses days, so we read it ourselves.
_WALLTIME = re.compile(r"(?:(\d+)-)?(\d{1,3}):([0-5]\d):([0-5]\d)")


@dataclass(frozen=True, kw_only=True)
class Site:
    """One site file's content, checked."""

    #: The site file's name without `.toml`.
    name: str
    #: Who starts blocks: "local" starts them on this machine.
    provider: str = "local"
    #: Jobfiles that run at once on one node; None: one per processor of this machine.
    max_workers: int | None = None
    #: Shell lines, run once per block before anything else of it: `module load …`.
    worker_init: str = ""
    #: Shell lines, run on each node before its worker starts.
    node_init: str = ""
    #: How long a block may last, HH:MM:SS or D-HH:MM:SS; empty: until it has been idle for long enough.
    walltime: str = ""
    #: Nodes of one block.
    nodes_per_block: int = 1

    def __post_init__(self) -> None:
        for key in CHECKS:
            reason = complaint(key, getattr(self, key))
            if reason:
                raise ValueError(f"site {self.name!r}: {reason}")
        if self.provider == "local" and self.nodes_per_block != 1:
            raise ValueError(f"site {self.name!r}: nodes_per_block={self.nodes_per_block}: a local block has one node, this one")

    @property
    def walltime_s(self) -> int | None:
        """The walltime in seconds; None: no limit."""
        return parse_walltime(self.walltime) if self.walltime else None


def parse_walltime(text: str) -> int:
    """Seconds of HH:MM:SS or D-HH:MM:SS; ValueError for anything else, and for less than a minute (schedulers count minutes)."""
    match = _WALLTIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"walltime={text!r}: use HH:MM:SS or D-HH:MM:SS, for example 48:00:00")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total < 60:
        raise ValueError(f"walltime={text!r}: use one minute or more")
    return total


def _positive(key: str, value: object) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return "" if whole and value >= 1 else f"{key}={value!r}: use a whole number, 1 or more"  # type: ignore[operator]


def _positive_or_none(key: str, value: object) -> str:
    return "" if value is None else _positive(key, value)


def _text(key: str, value: object) -> str:
    return "" if isinstance(value, str) else f"{key}={value!r}: use a text in quotes"


def _provider(key: str, value: object) -> str:
    return "" if value in PROVIDERS else f"{key}={value!r}: use {' or '.join(PROVIDERS)}"


def _walltime(key: str, value: object) -> str:
    if not isinstance(value, str):
        return _text(key, value)
    try:
        if value:
            parse_walltime(value)
    except ValueError as error:
        return str(error)
    return ""


#: What a site file may say, and what is wrong with a value ("": nothing).
CHECKS: Mapping[str, Callable[[str, object], str]] = {
    "provider": _provider,
    "max_workers": _positive_or_none,
    "worker_init": _text,
    "node_init": _text,
    "walltime": _walltime,
    "nodes_per_block": _positive,
}


def complaint(key: str, value: object) -> str:
    """What is wrong with this value of a known key; empty: nothing."""
    return CHECKS[key](key, value)
