"""Where a jobfile's output is: beside it, or in its campaign's `logs` folder; earlier attempts' files carry their number."""

from dataclasses import dataclass
from pathlib import Path

from broker.records import Campaign, Job


@dataclass(frozen=True, kw_only=True)
class LogFiles:
    """The two files of one attempt; an empty `.err` is removed when the attempt ends."""

    out: Path
    err: Path


def log_files(job: Job, campaign: Campaign | None, attempt: int) -> LogFiles:
    """The files of an attempt: `JOBFILE.out` of the latest, `JOBFILE.out.3` of the third when there were more."""
    logs = campaign.options.get("logs") if campaign is not None else None
    folder = Path(logs) if logs else Path(job.directory)
    number = "" if attempt >= job.latest.number else f".{attempt}"
    return LogFiles(out=folder / f"{job.name}.out{number}", err=folder / f"{job.name}.err{number}")
