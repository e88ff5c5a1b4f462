"""A finding: what one check saw, how bad that is, and what to do about it."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Result(enum.Enum):
    """How a check ended, from the best to the worst."""

    #: It could not be looked at, or was not asked for; the text says why.
    SKIPPED = "skipped"
    #: Nothing to do.
    OK = "ok"
    #: It works, and may not for long, or not everywhere.
    WARNING = "warning"
    #: It will not work like this.
    BAD = "bad"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the doctor's report."""

    #: What was looked at: "home", "clock".
    check: str
    result: Result
    #: What was seen, with its value.
    text: str
    #: What to do; empty where nothing needs to be done.
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.result in (Result.WARNING, Result.BAD) and not self.remedy:
            raise ValueError(f"the finding {self.check!r} ({self.text}) has no remedy: say what to do")


def ok(check: str, text: str) -> Finding:
    return Finding(check=check, result=Result.OK, text=text)


def skipped(check: str, text: str) -> Finding:
    return Finding(check=check, result=Result.SKIPPED, text=text)


def warning(check: str, text: str, remedy: str) -> Finding:
    return Finding(check=check, result=Result.WARNING, text=text, remedy=remedy)


def bad(check: str, text: str, remedy: str) -> Finding:
    return Finding(check=check, result=Result.BAD, text=text, remedy=remedy)


def worst(findings: Iterable[Finding]) -> Result:
    """The worst result of all; OK if nothing was looked at."""
    order = list(Result)
    return max((f.result for f in findings), key=order.index, default=Result.OK)
