"""Slurm: its commands, and what it says to the site's own block script without submitting it."""

from collections.abc import Iterator
from dataclasses import dataclass

from launcher.site import Site
from nunatak.doctor.finding import Finding, bad, ok, skipped


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """What was seen of Slurm here."""

    #: Of sbatch, squeue, scancel, scontrol, those that are not on PATH.
    missing: tuple[str, ...]
    #: "slurm 22.05.8"; empty: not known.
    version: str = ""
    #: What `sbatch --test-only` said to the site's block script; None: it was not asked.
    tested: str | None = None
    accepted: bool = False
    #: It said a definite no, and was not merely unable to answer.
    refused: bool = False
    #: Why it was not asked.
    trouble: str = ""


def judge_scheduler(site: Site | None, scheduler: Scheduler) -> Iterator[Finding]:
    if site is None or site.provider != "slurm":
        yield skipped("slurm", "no site: nunatak doctor -f SITE" if site is None else f"site {site.name} submits nothing to Slurm")
        return
    if scheduler.missing:
        yield bad("slurm", f"not on PATH: {', '.join(scheduler.missing)}", "work on a login host of the cluster, or: module load slurm")
        return
    yield ok("slurm", scheduler.version or "its commands are here")
    if scheduler.tested is None:
        text = f"the block script of {site.name} could not be tried: {scheduler.trouble}"
        yield bad("sbatch", text, "correct that, then nunatak doctor again")
    elif scheduler.accepted:
        yield ok("sbatch", f"would take a block of {site.name}: {scheduler.tested or 'it has no objection'}")
    elif scheduler.refused:
        yield bad("sbatch", f"refuses a block of {site.name}: {scheduler.tested}", f"correct the site file {site.source}")
    else:
        yield bad(
            "sbatch", f"asked about a block of {site.name}, it said: {scheduler.tested or 'nothing'}",
            f"if it names an option, correct the site file {site.source}; else Slurm may be away: try again later",
        )
