"""Walltimes as people and Slurm write them."""

import re

#: HH:MM:SS or D-HH:MM:SS. Parsl reads "00:00:30" as no limit and refuses days, so we read it ourselves.
_WALLTIME = re.compile(r"(?:(\d+)-)?(\d{1,3}):([0-5]\d):([0-5]\d)")


def parse_walltime(text: str) -> int:
    """Seconds of HH:MM:SS or D-HH:MM:SS; ValueError for anything else, and for less than a minute (schedulers count minutes)."""
    match = _WALLTIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r}: use HH:MM:SS or D-HH:MM:SS, for example 48:00:00")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    if total < 60:
        raise ValueError(f"{text!r}: use one minute or more")
    return total


def walltime_text(seconds: int) -> str:
    """HH:MM:SS, with as many hours as it takes."""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
