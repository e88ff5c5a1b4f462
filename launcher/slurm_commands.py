"""Runs Slurm's commands: the only file that does, with sbatch and scancel on Parsl's word.

Each runs in an environment that is the same whoever starts it, a person or cron: what is in sbatch's becomes the job's, and squeue's
answer depends on two dozen variables. Each has a time limit, and none is left behind at its end.
"""

import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import LauncherError
from launcher.slurm_queue import FORMAT

#: Debian's and Red Hat's own; the user's profile, which a block's script reads, adds the rest.
_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin")
#: Times as Unix seconds: local times are ambiguous for an hour each autumn.
_TIMES = {"SLURM_TIME_FORMAT": "%s"}


class CommandFailed(LauncherError):
    """A command of Slurm's could not be run, did not end in time, or ended badly; the text is what it said."""


class NoCommand(CommandFailed):
    """The command is not on this host's PATH, so it has done nothing."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def clean_environment(program: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Who the user is and where programs lie. No LANG: a terminal has one and cron has none; the user's profile says which."""
    user = pwd.getpwuid(os.getuid())
    path = (*_PATH, *({str(Path(program).parent)} - set(_PATH)))
    who = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "SHELL": user.pw_shell or "/bin/sh"}
    return who | {"PATH": ":".join(path)} | {name: environ[name] for name in ("SLURM_CONF",) if name in environ}


def run(argv: Sequence[str], timeout_s: float, extra: Mapping[str, str] | None = None) -> Ended:
    """Run one command to its end. Raises NoCommand, and CommandFailed if it does not end in time: then it is killed."""
    program = shutil.which(argv[0])
    if program is None:
        raise NoCommand(f"{argv[0]} is not on PATH: is this a login host of the cluster, and is Slurm's module loaded?")
    child = subprocess.Popen(
        [program, *argv[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(program) | dict(extra or {}),
        # A job starts where sbatch was called: where a login does, wherever the launcher stands.
        cwd=_home(),
        start_new_session=True,
    )
    try:
        out, err = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"{argv[0]} did not answer in {timeout_s:g} s") from None
    finally:
        if child.poll() is None:
            _kill_group(child)
    return Ended(code=child.returncode, out=_text(out), err=_text(err))


def _home() -> str:
    home = pwd.getpwuid(os.getuid()).pw_dir
    return home if Path(home).is_dir() else "/"


def queue(timeout_s: float) -> str:
    """All jobs of this user that Slurm knows, those that ended lately too, for slurm_queue.py. Raises CommandFailed."""
    ended = run(["squeue", "--me", "-r", "-t", "all", "-o", FORMAT], timeout_s, _TIMES)
    if ended.code != 0:
        raise CommandFailed(f"squeue ended with {ended.code}: {_words(ended)}")
    return ended.out


#: What Slurm's commands say of a job that has just ended, and of one that it has forgotten.
NO_SUCH_JOB = "Invalid job id specified"


def is_forgotten(job_id: str, name: str, timeout_s: float) -> bool:
    """Whether Slurm says that it has no such job, or that the job of this number is another; False if it says anything else."""
    try:
        ended = run(["scontrol", "-o", "show", "job", job_id], timeout_s)
    except CommandFailed:
        return False
    if ended.code != 0:
        return NO_SUCH_JOB in ended.err
    # A controller that has lost its last seconds gives their numbers out again.
    found = re.match(r"JobId=\d+ .*?JobName=(.*?) UserId=", ended.out, re.DOTALL)
    return found is not None and found[1] != name and f"/{name}/" not in ended.out


def _kill_group(child: "subprocess.Popen[bytes]") -> None:
    """A command that hangs may be a wrapper script around the one that does: all of its session go."""
    os.killpg(child.pid, signal.SIGKILL)
    for stream in (child.stdout, child.stderr):
        if stream is not None:
            stream.close()
    child.wait()


def _words(ended: Ended) -> str:
    said = " ".join((ended.err.strip() or ended.out.strip()).split())
    return said[:300] or "it said nothing"


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")
