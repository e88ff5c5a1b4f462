"""The way from the guard to a jobfile's first instruction, in a child: every touch of a shared filesystem is made here."""

import contextlib
import json
import os
import resource
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.guard import child
from tasks.guard.spawner import Plan, Spawner

_LOG_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC | os.O_CLOEXEC
_LOG_MODE = 0o666


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """What a child needs to become a jobfile."""

    argv: Sequence[str]
    environ: dict[str, str]
    cwd: str
    stdout: str
    stderr: str
    #: Made here, private; removed by the scribe.
    tmpdir: str
    umask: int | None
    #: Processors to be bound to; empty: all.
    cpus: frozenset[int]
    core_limit: int | None
    oom_score_adj: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a jobfile could not be started."""

    #: What was being done: fork, setup, directory, logs, tmpdir, exec; deadline, end and leaving are the guard's own.
    stage: str
    errno: int | None
    message: str


def launch(plan: Launch, spawner: Spawner) -> tuple[int, int]:
    """Start the child. Its pid, and a descriptor that says nothing when the jobfile runs, else why not (`read_failure`)."""
    return spawner.spawn({name: getattr(plan, name) for name in plan.__slots__}) or _fork(plan)


def _fork(plan: Launch) -> tuple[int, int]:
    told, tell = os.pipe2(os.O_CLOEXEC)
    try:
        os.set_blocking(told, False)
        pid = child.fork(lambda: _become(plan, tell), keep=[tell], dies_with_guard=True)
    except OSError:
        os.close(told)
        raise
    finally:
        os.close(tell)
    return pid, told


def read_failure(told: int) -> Failure | None:
    """What the child said before its end, once the descriptor can be read; None: the jobfile runs (or its child was killed)."""
    with contextlib.suppress(BlockingIOError, ConnectionResetError):
        said = os.read(told, 65536)
        return Failure(**json.loads(said)) if said else None
    return None


def become(plan: Plan, tell: int) -> None:
    """A starter's life in a child that the spawner has made."""
    _become(Launch(**plan), tell)


def _become(plan: Launch, tell: int) -> None:
    steps = _Steps(plan)
    try:
        steps.run()
    except OSError as error:
        steps.undo()
        _say(tell, steps.stage, error.errno, _describe(error))
    except Exception as error:  # noqa: BLE001 - the top of a process: what cannot be said here is lost.
        steps.undo()
        _say(tell, steps.stage, None, repr(error))


def _describe(error: OSError) -> str:
    where = error.filename if error.filename is not None else ""
    name = os.fsdecode(where) if isinstance(where, (str, bytes)) else str(where)
    return f"{error.strerror or error}: {name!r}" if name else str(error.strerror or error)


def _say(tell: int, stage: str, number: int | None, message: str) -> None:
    values: dict[str, Any] = {"stage": stage, "errno": number, "message": message}
    os.write(tell, json.dumps(values).encode())


class _Steps:
    """One child's steps, in order; `stage` is where it is."""

    def __init__(self, plan: Launch) -> None:
        self._plan = plan
        self._logs: list[str] = []
        self.stage = "setup"

    def run(self) -> None:
        self._set_up()
        self.stage = "directory"
        os.chdir(self._plan.cwd)
        self.stage = "logs"
        self._open_logs()
        self.stage = "tmpdir"
        os.mkdir(self._plan.tmpdir, 0o700)
        self.stage = "exec"
        os.execve(self._plan.argv[0], list(self._plan.argv), self._plan.environ)

    def _set_up(self) -> None:
        os.setsid()
        if self._plan.umask is not None:
            os.umask(self._plan.umask)
        if self._plan.core_limit is not None:
            _limit_core(self._plan.core_limit)
        if self._plan.cpus:
            os.sched_setaffinity(0, self._plan.cpus)
        _write_oom_score_adj(self._plan.oom_score_adj)

    def _open_logs(self) -> None:
        rotate(self._plan.stdout, self._plan.stderr)
        for fd, path in ((1, self._plan.stdout), (2, self._plan.stderr)):
            opened = os.open(path, _LOG_FLAGS, _LOG_MODE)
            self._logs.append(path)
            os.dup2(opened, fd)
            os.close(opened)

    def undo(self) -> None:
        """Leave nothing of a start that came to nothing: its logs are empty."""
        for path in self._logs:
            with contextlib.suppress(OSError):
                os.unlink(path)
        with contextlib.suppress(OSError):
            os.rmdir(self._plan.tmpdir)


def _limit_core(limit: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def _write_oom_score_adj(value: int) -> None:
    # Lowering it needs a right that we may not have, and a jobfile that is as dear to the kernel as the guard still runs.
    with contextlib.suppress(OSError):
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        try:
            os.write(fd, str(value).encode())
        finally:
            os.close(fd)


def rotate(*logs: str) -> None:
    """Make room for new logs: those of an earlier attempt become LOG.1, LOG.2 …, all with the same number, the first attempt's 1."""
    earlier = [log for log in logs if _is_a_log(log)]
    if not earlier:
        return
    number = 1
    while any(os.path.lexists(f"{log}.{number}") for log in logs):
        number += 1
    for log in earlier:
        os.rename(log, f"{log}.{number}")


def _is_a_log(path: str) -> bool:
    """A file, or a link to one. /dev/null and pipes are no earlier attempt's, and stay where they are."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)
