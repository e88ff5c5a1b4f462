"""The doctor's report as a person reads it: 80 columns, wherever it is shown."""

import textwrap
from collections.abc import Iterator
from typing import Any

from nunatak.doctor.finding import Finding, Result

_WIDTH = 80
_RESULT, _CHECK = 9, 12
COLOURS = {Result.OK: "green", Result.WARNING: "yellow", Result.BAD: "red", Result.SKIPPED: "bright_black"}


def lines(finding: Finding) -> Iterator[str]:
    """A finding: its result and check, what was seen beside them, the remedy below."""
    head = f"{finding.result.value:<{_RESULT}}{finding.check:<{_CHECK}}"
    for paragraph in finding.text.splitlines() or [""]:
        for line in _wrapped(paragraph):
            yield (head + line).rstrip()
            head = " " * (_RESULT + _CHECK)
    if finding.remedy:
        for number, line in enumerate(_wrapped(finding.remedy, 3)):
            yield f"{' ' * (_RESULT + _CHECK)}{'-> ' if number == 0 else '   '}{line}"


def _wrapped(text: str, less: int = 0) -> list[str]:
    # A long path is broken in the end: a line that is too long would be broken by the terminal, at a worse place.
    return textwrap.wrap(text, _WIDTH - _RESULT - _CHECK - less, break_on_hyphens=False) or [""]


def as_dict(finding: Finding) -> dict[str, Any]:
    """What `--json` prints of it."""
    return {"check": finding.check, "result": finding.result.value, "text": finding.text, "remedy": finding.remedy or None}


def summary(findings: list[Finding]) -> str:
    """The last line."""
    counts = {result: sum(f.result is result for f in findings) for result in Result}
    return ", ".join(f"{counts[r]} {r.value}" for r in (Result.OK, Result.WARNING, Result.BAD, Result.SKIPPED) if counts[r])
