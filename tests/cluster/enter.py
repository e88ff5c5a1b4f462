"""Runs a command inside of a host: a program of its own, whose end and exit code are the command's.

    python -S -P -m cluster.enter '{"pid": …, "argv": […], …}'

It passes signals on, and the command is killed when it is killed, so that `subprocess.Popen` works as for a local process. A detached
command (a daemon) is left behind in the host instead.
"""

import contextlib
import json
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

from cluster import namespaces
from cluster.boot import HOST_FREEZER

PASSED_ON = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT, signal.SIGWINCH,
)  # fmt: skip
#: The terminal sends these to the command itself.
FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGWINCH)


def _become(wanted: dict[str, Any]) -> NoReturn:
    """In the child: the user, the folder, the command."""
    try:
        if not wanted["terminal"]:
            os.setsid()
        if wanted["detached"] and os.fork():
            # The parent of what stays is now a process of the host, so that its orphan goes to the host's first process.
            os._exit(0)
        if wanted["freezer"]:
            (HOST_FREEZER / "cgroup.procs").write_text("0")
        os.chdir(wanted["cwd"])
        os.setgroups([wanted["uid"]])
        os.setgid(wanted["uid"])
        os.setuid(wanted["uid"])
        if not wanted["detached"]:
            namespaces.die_with_parent(signal.SIGKILL)
        for number in (*PASSED_ON, *FROM_TERMINAL, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.umask(0o022)
        os.execvpe(wanted["argv"][0], wanted["argv"], wanted["env"])
    except BaseException as error:  # noqa: BLE001 - the top of a process
        os.write(2, f"cluster: {wanted['argv'][0]}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(127)


def _wait(child: int, terminal: bool) -> NoReturn:
    """Pass signals on and end as the command does; its pipes are its alone."""
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in PASSED_ON:
        signal.signal(number, pass_on)
    if terminal:
        for number in FROM_TERMINAL:
            signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _pid, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        _end_by(os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


def _end_by(number: int) -> None:
    """End by the same signal, without a core file of ours."""
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.kill(os.getpid(), number)


def main() -> None:
    wanted = json.loads(sys.argv[1])
    namespaces.enter(wanted["pid"], "ipc", "uts", "net", "pid", "mnt")
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    child = os.fork()
    if child == 0:
        _become(wanted)
    _wait(child, wanted["terminal"])


if __name__ == "__main__":
    main()
