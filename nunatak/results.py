"""The end of a run: a table of what became of a campaign's jobfiles, and what failed with its reason and its log."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from broker.ledger import Ledger
from broker.records import Campaign, Job, State
from tasks.logs import logs_of
from tasks.quantity import format_duration

#: Bad ends that are named; `nunatak jobs` has them all.
LISTED = 20
#: Of a larger campaign not all jobfiles are read to find the slowest one.
_READ = 20_000
_BAD = (State.FAILED, State.QUARANTINED, State.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class Results:
    """What there is to tell of a campaign that has ended, or goes on without us."""

    campaign: Campaign
    #: How long the run took.
    elapsed_s: float
    #: Some that ended badly, at most `LISTED`.
    bad: tuple[Job, ...]
    #: The jobfile that took longest; None: not known.
    slowest: Job | None
    #: The processor time of all latest attempts, in seconds; None: not known.
    cpu_s: float | None

    @property
    def all_done(self) -> bool:
        return self.campaign.counts[State.DONE] == self.campaign.total


def read_results(ledger: Ledger, campaign: Campaign, elapsed_s: float) -> Results:
    """Read what the table needs; raises Unreachable."""
    jobs = list(ledger.jobs(campaign.name)) if campaign.total <= _READ else []
    timed = [job for job in jobs if job.latest.elapsed_s is not None]
    bad = chain.from_iterable(ledger.jobs(campaign.name, state) for state in _BAD)
    return Results(
        campaign=campaign,
        elapsed_s=elapsed_s,
        bad=tuple(islice(bad, LISTED)),
        slowest=max(timed, key=lambda job: job.latest.elapsed_s or 0, default=None),
        cpu_s=sum(job.latest.cpu_s or 0 for job in jobs) if timed else None,
    )


def table(results: Results) -> Sequence[tuple[str, str]]:
    """The rows, what and how much."""
    campaign = results.campaign
    waits = [(word, f"{campaign.counts[state]:,}") for word, state in (("waiting", State.QUEUED), ("running", State.RUNNING))]
    rows = [
        ("done", f"{campaign.counts[State.DONE]:,}"),
        ("  found done already", f"{campaign.skipped:,}"),
        *((state.value, f"{campaign.counts[state]:,}") for state in _BAD),
        *(waits if not campaign.has_ended else []),
        ("total", f"{campaign.total:,}"),
        ("time", format_duration(results.elapsed_s)),
    ]
    if results.cpu_s is not None:
        rows.append(("processor time", format_duration(results.cpu_s)))
    if results.slowest is not None:
        rows.append(("longest", format_duration(results.slowest.latest.elapsed_s or 0)))
    return rows


def bad_lines(results: Results) -> Iterator[str]:
    """What ended badly, each with its reason and where its output is."""
    for job in results.bad:
        tries = f", attempt {job.latest.number}" if job.latest.number > 1 else ""
        yield f"{job.state.value}: {job.path}"
        yield f"  {job.latest.reason or 'no reason is known'}{tries}"
        yield from (f"  {path}" for path in _logs(job, results.campaign.options.get("logs", "")))
    total = sum(results.campaign.counts[state] for state in _BAD)
    if total > len(results.bad):
        yield f"and {total - len(results.bad):,} more: nunatak jobs --campaign {results.campaign.name} --state failed"


def _logs(job: Job, logs_dir: str) -> Iterable[str]:
    logs = logs_of(job.path, logs_dir)
    return [path for path in (logs.err, logs.out) if os.path.exists(path)][:1]
