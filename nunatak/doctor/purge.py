"""What lies on a filesystem whose unread files are removed: our own files, and jobfiles that wait."""

from collections.abc import Iterator
from dataclasses import dataclass

from nunatak.doctor.finding import Finding, bad, ok, skipped, warning
from nunatak.doctor.place import Place

#: TACC removes what was not read for this long ($SCRATCH user guide); so do many sites, some later.
PURGED_AFTER_DAYS = 10
#: From here on there is no time left for a weekend.
_SOON_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Jobfiles that wait in one directory, and when they were last read."""

    place: Place
    #: How many were looked at.
    count: int
    #: Of these, how many are not there any more.
    gone: int = 0
    #: Days since the longest unread one was read; 0 if none is there.
    unread_days: float = 0.0


def judge_purge(places: tuple[Place, ...]) -> Iterator[Finding]:
    """Our own folders: whoever is purged loses the queue, or a module in the middle of a run."""
    purged = [p for p in places if p.is_purged]
    if not purged:
        yield ok("purge", "neither the queue nor the programs are on a filesystem that is purged")
    for place in purged:
        yield warning(
            "purge", f"{place.path} is on a filesystem that sites purge (TACC: what nobody reads for {PURGED_AFTER_DAYS} days)",
            "move it to $HOME or $WORK; the queue: export NUNATAK_HOME=$HOME/.nunatak",
        )


def judge_waiting(waiting: tuple[Waiting, ...], why_none: str = "") -> Iterator[Finding]:
    """Jobfiles that wait: each directory with its longest unread one."""
    if not waiting:
        yield skipped("jobfiles", why_none or "no jobfile waits")
    for found in waiting:
        yield _judge(found)


def _judge(found: Waiting) -> Finding:
    where = f"{found.count} waiting in {found.place.path}"
    if found.gone:
        return bad("jobfiles", f"{where}, {found.gone} of them are gone", "write them again under the same names, before they are claimed")
    if not found.place.is_purged:
        return ok("jobfiles", where)
    unread = f"unread for {found.unread_days:.0f} days at most"
    if found.unread_days >= _SOON_DAYS:
        return bad(
            "jobfiles", f"{where}, {unread}, where a site like TACC purges after {PURGED_AFTER_DAYS}",
            "copy the directory to $HOME or $WORK and enqueue it there; most sites forbid to touch files against the purge",
        )
    return warning(
        "jobfiles", f"{where}, {unread}, on a filesystem that is purged",
        f"keep jobfiles in $HOME or $WORK, or enqueue no more than {PURGED_AFTER_DAYS} days of work",
    )
