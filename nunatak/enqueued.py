"""What `enqueue` and `run` say of an enqueued directory, as words and as JSON."""

import shlex
from collections.abc import Iterator
from typing import Any

from nunatak.enqueueing import Outcome
from nunatak.exit_codes import ExitCode

#: More than this many rejected jobfiles are counted; `--json` has them all.
_LISTED = 100


def exit_code(outcome: Outcome) -> ExitCode:
    """2 if there was nothing to enqueue but rejected jobfiles, 1 if some were rejected."""
    if not outcome.rejected:
        return ExitCode.WELL
    return ExitCode.SOME_BAD if outcome.accepted else ExitCode.WRONG_USE


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """The contract's keys: each count is of jobfiles."""
    return {
        "campaign": outcome.request.name,
        "directory": str(outcome.request.directory),
        **{word: outcome.counts[word] for word in ("enqueued", "already_queued", "already_done", "failed_before", "changed")},
        "rejected": [{"jobfile": str(r.file), "line": r.line, "reason": r.reason, "remedy": r.remedy} for r in outcome.rejected],
        "warnings": list(outcome.warnings),
        "done_rule": outcome.done_rule,
        "dry_run": outcome.request.dry_run,
    }


def result_lines(outcome: Outcome) -> Iterator[str]:
    """The counts, for standard output."""
    words = ["enqueued", "already_queued", "already_done", "failed_before", *(["changed"] if outcome.counts["changed"] else [])]
    counts = [f"{outcome.counts[word]:,} {word.replace('_', ' ')}" for word in words]
    would = "dry run, nothing is changed: " if outcome.request.dry_run else ""
    yield f"{outcome.request.name}: {would}{', '.join(counts)}, {len(outcome.rejected):,} rejected"
    yield f"done rule: {outcome.done_rule}"
    if outcome.request.dry_run:
        yield from _expected_lines(outcome)


def _expected_lines(outcome: Outcome) -> Iterator[str]:
    if outcome.examples and not any(expected.files or expected.absent for _, expected in outcome.examples):
        yield "no outputs are looked at: exit code 0 means done"
        return
    for jobfile, expected in outcome.examples:
        yield f"{jobfile.path.name} is done when"
        yield from (f"  there is     {path}" for path in expected.files)
        yield from (f"  there is no  {path}" for path in expected.absent)


def word_lines(outcome: Outcome) -> Iterator[str]:
    """What the user should know or do, for standard error."""
    yield from (f"rejected: {rejected}" for rejected in outcome.rejected[:_LISTED])
    if len(outcome.rejected) > _LISTED:
        yield f"rejected: {len(outcome.rejected) - _LISTED:,} more; --json lists them all"
    yield from (f"warning: {warning}" for warning in outcome.warnings)
    if not outcome.asked:
        yield "no broker runs, so what it may hold already could not be asked"
    if outcome.changes:
        yield f"changed for {outcome.request.name}, also for what waits: {', '.join(outcome.changes)}"
    for campaign, count in outcome.elsewhere.items():
        yield f"{count:,} of those already queued are in campaign {campaign}, and stay there"
    if outcome.counts["failed_before"]:
        remedy = f"--again, or nunatak retry --campaign {shlex.quote(outcome.request.name)}"
        yield f"{outcome.counts['failed_before']:,} ended badly before and are not started again: {remedy}"
