"""Durations and amounts of memory as people and schedulers write them, to seconds and megabytes and back."""

import math
import re
from enum import Enum

from tasks.errors import BadQuantity

_UNIT_S = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hr": 3600, "hour": 3600, "d": 86400, "day": 86400}
_UNIT_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_NUMBER = r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+"
_PLAIN = re.compile(rf"({_NUMBER})")
_PARTS = re.compile(rf"({_NUMBER})\s*([a-z]+)\s*")
_CLOCK = re.compile(r"(?:([0-9]+)-)?([0-9]+(?::[0-9]+){0,3})")
_MEMORY = re.compile(rf"({_NUMBER})\s*([kmgt]?)(i?b)?")
#: A longer one is a slip of the unit: no scheduler in our reach gives more than a few weeks.
MAX_DURATION_S = 366 * 86400
#: More than any node has: a slip of the unit.
MAX_MEMORY_MB = 1 << 30


class Dialect(Enum):
    """Whose rules a text follows, which decides what a number without a unit and `11:00` mean."""

    NUNATAK = "ours, and the command line's: a unit or H:M:S is needed, so that nobody has to guess"
    SBATCH = "`sbatch --time`, `--mem` (its manual page): plain numbers are minutes and megabytes, 11:00 is M:S, 0 is no limit"
    PBS = "`qsub -l walltime=,mem=`: plain numbers are seconds and bytes, 11:00 is M:S"


_PLAIN_S = {Dialect.SBATCH: 60.0, Dialect.PBS: 1.0}
_PLAIN_BYTES = {Dialect.SBATCH: 1 << 20, Dialect.PBS: 1}
#: What the parts of a clock time count, for each number of parts; NUNATAK's 11:00 is left out because Slurm's is 11 minutes.
_CLOCK_S = {1: (1,), 2: (60, 1), 3: (3600, 60, 1), 4: (86400, 3600, 60, 1)}
_DAY_CLOCK_S = (3600, 60, 1)
_UNLIMITED = frozenset({"infinite", "unlimited"})


def parse_duration(text: str, dialect: Dialect = Dialect.NUNATAK) -> float:
    """Seconds of `11h`, `90m`, `1h30m`, `11:00:00`, `2-00:00:00`; `math.inf` for SBATCH's 0 and UNLIMITED; raises BadQuantity."""
    lowered = text.strip().lower()
    if dialect is Dialect.SBATCH and lowered in _UNLIMITED:
        return math.inf
    seconds = _plain_seconds(lowered, dialect)
    if seconds is None:
        seconds = _clock_seconds(lowered, text, dialect)
    if seconds is None:
        seconds = _unit_seconds(lowered, text)
    if seconds == 0 and dialect is Dialect.SBATCH:
        return math.inf
    if not 0 < seconds <= MAX_DURATION_S:
        reason = f"{text!r} is {seconds:g} seconds, and a duration is more than 0 and at most a year"
        raise BadQuantity(reason, "write it as 11h or 11:00:00")
    return seconds


def _plain_seconds(lowered: str, dialect: Dialect) -> float | None:
    if not _PLAIN.fullmatch(lowered):
        return None
    if dialect is Dialect.NUNATAK:
        raise BadQuantity(f"{lowered!r} is a number without a unit", f"write {lowered}h, {lowered}m or {lowered}s, or a time as 11:00:00")
    return float(lowered) * _PLAIN_S[dialect]


def _clock_seconds(lowered: str, text: str, dialect: Dialect) -> float | None:
    match = _CLOCK.fullmatch(lowered)
    if match is None:
        return None
    days, parts = match[1], [int(part) for part in match[2].split(":")]
    weights = _clock_weights(days is not None, len(parts), dialect)
    if weights is None:
        reason = f"{text!r} is not a time that can be read in one way only"
        raise BadQuantity(reason, "write hours, minutes and seconds: 11:00:00 or 2-00:00:00")
    if any(part >= 60 for part, weight in zip(parts[1:], weights[1:], strict=False) if weight < 3600):
        raise BadQuantity(f"{text!r} has more than 59 minutes or seconds", "write it as 11:00:00, or with a unit: 90m")
    return float(int(days or 0) * 86400 + sum(part * weight for part, weight in zip(parts, weights, strict=False)))


def _clock_weights(has_days: bool, parts: int, dialect: Dialect) -> tuple[int, ...] | None:
    if has_days:
        return _DAY_CLOCK_S if parts <= 3 else None
    if (parts == 2 and dialect is Dialect.NUNATAK) or (parts == 4 and dialect is not Dialect.PBS):
        return None
    return _CLOCK_S[parts]


def _unit_seconds(lowered: str, text: str) -> float:
    total, at = 0.0, 0
    while at < len(lowered):
        match = _PARTS.match(lowered, at)
        unit = _unit_of(match[2]) if match else None
        if match is None or unit is None:
            raise BadQuantity(f"{text!r} is not a duration", "write it as 11h, 90m, 1h30m, 11:00:00 or 2-00:00:00")
        total, at = total + float(match[1]) * unit, match.end()
    return total


def _unit_of(word: str) -> int | None:
    return _UNIT_S.get(word, _UNIT_S.get(word.removesuffix("s")))


def parse_memory(text: str, dialect: Dialect = Dialect.NUNATAK) -> int:
    """Megabytes (1G = 1024 MB, as in Slurm; rounded up) of `90G`, `90GB`, `4000M`; 0 only for SBATCH's `--mem=0`; raises BadQuantity."""
    match = _MEMORY.fullmatch(text.strip().lower())
    if match is None:
        raise BadQuantity(f"{text!r} is not an amount of memory", "write it as 90G, 90GB or 4000M")
    plain = not match[2] and not match[3]
    if plain and dialect is Dialect.NUNATAK:
        raise BadQuantity(f"{text!r} is a number without a unit", f"write {match[1]}G or {match[1]}M")
    megabytes = math.ceil(float(match[1]) * (_PLAIN_BYTES[dialect] if plain else _UNIT_BYTES[match[2]]) / (1 << 20))
    if megabytes == 0 and dialect is Dialect.SBATCH:
        return 0
    if not 0 < megabytes <= MAX_MEMORY_MB:
        raise BadQuantity(f"{text!r} is {megabytes} MB, and no node has that", "write it as 90G or 4000M")
    return megabytes


def parse_count(text: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`; raises BadQuantity."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
        raise BadQuantity(f"{text!r} is not a whole number from {low} to {high}", f"write one, such as {low}")
    return int(text)


def format_duration(seconds: float) -> str:
    """For people, two units at most: `0.4s`, `47s`, `5m 10s`, `11h 03m`, `2d 03h`."""
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if seconds < 10:
        return f"{math.floor(seconds * 10) / 10:g}s"
    if seconds == math.inf:
        return "no limit"
    minutes, rest = divmod(int(seconds), 60)
    hours, days = minutes // 60, minutes // 1440
    if days:
        return f"{days}d {hours % 24:02d}h"
    if hours:
        return f"{hours}h {minutes % 60:02d}m"
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"


def format_walltime(seconds: float) -> str:
    """For schedulers and files, `2-00:00:00` or `11:00:00`, rounded up to a second; `parse_duration` reads it back in every dialect."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    clock = f"{hours:02d}:{minutes:02d}:{rest:02d}"
    return f"{days}-{clock}" if days else clock


def format_memory(megabytes: int) -> str:
    """For people: `512M`, `90G`, `1.5G`."""
    return f"{megabytes}M" if megabytes < 1024 else f"{round(megabytes / 1024, 1):g}G"
