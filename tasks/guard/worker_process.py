"""The worker under this guard: started, watched for signs of life, replaced when it dies or hangs."""

import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from tasks.guard import child, log
from tasks.guard.channel import Channel
from tasks.guard.loop import Loop, Timer
from tasks.guard.protocol import GOODBYE, HELLO, Message
from tasks.guard.settings import GuardSettings

#: Waits before the first, second … start in a row of short lives.
BACK_OFF_S = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
_KILL_WAIT_S = 5.0
#: A worker that lived this long has shown that it can.
_GOOD_LIFE_S = 60.0


def back_off_s(short_lives: int) -> float:
    """How long to wait after so many lives in a row that were too short."""
    return BACK_OFF_S[min(short_lives, len(BACK_OFF_S)) - 1] if short_lives else 0.0


class WorkerProcess:
    """One worker at a time; only the newest one's orders are heard."""

    def __init__(
        self,
        loop: Loop,
        settings: GuardSettings,
        environ: dict[str, str],
        on_message: Callable[[str, Message], None],
        on_end: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._settings = settings
        self._environ = environ
        self._on_message = on_message
        self._on_end = on_end
        self._channel: Channel | None = None
        self._watch: Timer | None = None
        self._greeted = False
        self._heard = 0.0
        self._born = 0.0
        self.pid: int | None = None
        #: Workers that ended without saying goodbye.
        self.deaths = 0
        #: Lives in a row that ended too soon.
        self.short_lives = 0
        #: It has said that it leaves for good.
        self.has_said_goodbye = False

    def start(self) -> int:
        """Its pid; raises OSError if there is no room for a process."""
        ours, theirs = socket.socketpair()
        argv = [*self._settings.worker_argv, "--guard-fd", str(theirs.fileno())]
        try:
            pid = child.fork(lambda: _become(argv, self._environ, theirs.fileno()), keep=[theirs.fileno()], dies_with_guard=False)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self.pid = pid
        self._channel = Channel(self._loop, ours, self._heard_from, self._end_of_file)
        self._greeted, self.has_said_goodbye = False, False
        self._born = self._heard = time.monotonic()
        self._watch = self._loop.after(self._settings.hello_timeout_s, self._check_alive)
        log.info("worker.started pid=%d", pid)
        return pid

    def send(self, kind: str, values: Message | None = None) -> None:
        """Nothing is sent to a worker that has not said hello: its welcome will tell it all."""
        if self._channel is not None and self._greeted:
            self._channel.send(kind, values)

    def _heard_from(self, message: dict[str, Any]) -> None:
        self._heard = time.monotonic()
        kind = message.pop("kind", "")
        if kind == HELLO:
            self._greeted = True
            log.info("worker.hello pid=%s incarnation=%s", message.get("pid"), message.get("incarnation"))
        if kind == GOODBYE:
            self.has_said_goodbye = True
            log.info("worker.goodbye pid=%s", self.pid)
        elif self._greeted:
            self._on_message(kind, message)
        else:
            log.error("worker.spoke_before_hello kind=%s", kind)

    def _check_alive(self) -> None:
        # Not by the timer's own clock: after a suspension that has gone on, and the worker could not.
        silent_s = time.monotonic() - self._heard
        if silent_s < self._settings.hello_timeout_s:
            self._watch = self._loop.after(self._settings.hello_timeout_s - silent_s, self._check_alive)
            return
        log.error("worker.silent pid=%s silent_s=%.0f", self.pid, silent_s)
        self.kill()

    def kill(self) -> None:
        """SIGKILL; nothing that it has said and we have not read counts any more."""
        # In this order: a worker that sees its line closed takes the guard for dead.
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
        self._close()
        self._watch = self._loop.after(_KILL_WAIT_S, self._stop_waiting)

    def _stop_waiting(self) -> None:
        """Blocked in the kernel with SIGKILL pending: it will do nothing any more, and the node needs another one."""
        log.error("worker.blocked_in_kernel pid=%s", self.pid)
        self._ended()

    def _end_of_file(self) -> None:
        # It closes its end when it exits; one that closed it and lives on can be told nothing, and ends.
        self._close()
        self._watch = self._loop.after(1.0, self.kill)

    def _close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def reaped(self, status: int) -> None:
        """It has ended. What it said last still counts."""
        if self._channel is not None:
            self._channel.drain()
        log.warning("worker.ended pid=%s status=%d", self.pid, os.waitstatus_to_exitcode(status))
        self._ended()

    def _ended(self) -> None:
        self._close()
        self.deaths += not self.has_said_goodbye
        lived_s = time.monotonic() - self._born
        self.short_lives = 0 if lived_s >= _GOOD_LIFE_S else self.short_lives + 1
        self.pid = None
        self._on_end()


def _become(argv: list[str], environ: dict[str, str], guard_fd: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.set_inheritable(guard_fd, True)
    try:
        os.execvpe(argv[0], argv, environ)
    except OSError as error:
        log.error("worker.cannot_start argv0=%r error=%s", argv[0], error)
