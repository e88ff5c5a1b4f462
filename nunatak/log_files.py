"""Where a jobfile's output is: beside it, or in its campaign's `logs` folder; earlier attempts' files carry their number."""

from dataclasses import dataclass
from pathlib import Path

from broker.records import Campaign, Job
from tasks.logs import logs_of


@dataclass(frozen=True, kw_only=True)
class LogFiles:
    """The two files of one attempt; an empty `.err` is removed when the attempt ends."""

    out: Path
    err: Path


def log_files(job: Job, campaign: Campaign | None, attempt: int) -> LogFiles:
    """The files of an attempt: `JOBFILE.out` of the latest, `JOBFILE.out.3` of the third when there were more."""
    logs = logs_of(job.path, "" if campaign is None else campaign.options.get("logs", ""))
    number = "" if attempt >= job.latest.number else f".{attempt}"
    return LogFiles(out=Path(logs.out + number), err=Path(logs.err + number))
