"""What this host lets its user have: processes and open files."""

from collections.abc import Iterator
from dataclasses import dataclass

from nunatak.doctor.finding import Finding, bad, ok, warning

#: One worker's connections to the broker.
_PER_WORKER = 4
#: The broker needs two processes with a handful of threads, each command one with a few.
_BAD_TASKS, _SCARCE_TASKS = 20, 100
_BAD_FILES, _SCARCE_FILES = 256, 4096


@dataclass(frozen=True, kw_only=True)
class Limits:
    """`ulimit`, in numbers; None: no limit."""

    #: Hard limit of open files: the server raises its own to it.
    open_files: int | None
    #: Processes and threads of this user on this host, by ulimit or by the login session's control group.
    tasks: int | None
    #: How many there are now.
    tasks_now: int


def judge_limits(limits: Limits) -> Iterator[Finding]:
    yield _judge_tasks(limits)
    files = limits.open_files
    if files is None or files >= _SCARCE_FILES:
        yield ok("open files", "no limit" if files is None else f"{files:,} (ulimit -Hn)")
    else:
        judged = bad if files < _BAD_FILES else warning
        text = f"{files:,} (ulimit -Hn): the broker serves about {max(0, files - 64) // _PER_WORKER} nodes from here"
        yield judged("open files", text, "run the broker elsewhere: nunatak broker submit -f SITE")


def _judge_tasks(limits: Limits) -> Finding:
    if limits.tasks is None:
        return ok("processes", "no limit")
    left = limits.tasks - limits.tasks_now
    text = f"{limits.tasks_now:,} of {limits.tasks:,} in use (ulimit -u)"
    if left >= _SCARCE_TASKS:
        return ok("processes", text)
    remedy = "end what you do not need here, or use another login host"
    return (bad if left < _BAD_TASKS else warning)("processes", text, remedy)
