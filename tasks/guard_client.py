"""The worker's side of the guard: orders out, news in; one handle per jobfile that the guard has."""

import contextlib
import logging
import os
import select
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.guard import protocol
from tasks.guard.leftovers import end_marked, is_alive
from tasks.guard.process import Process, read_environ
from tasks.guard.process_tree import TOKEN
from tasks.guard.protocol import Ending, Entry, Lines, Message, StartOrder, encode

log = logging.getLogger(__name__)

#: A third of what the guard needs to take us for hung would be enough; see LEASES rule 15.
ALIVE_EVERY_S = 10.0
_READ = 1 << 16
#: A process closes its files some time before it counts as dead.
_DYING_S = 2.0
_DYING_POLL_S = 0.005


class GuardError(Exception):
    """Whatever went wrong between worker and guard."""


class GuardGone(GuardError):
    """The line to the guard is closed: it has died and its jobfiles with it, or it replaces this worker. The worker ends."""


class StartFailed(GuardError):
    """The jobfile was not started, and nothing of it runs."""

    def __init__(self, stage: str, errno: int | None, message: str) -> None:
        super().__init__(stage, errno, message)
        #: fork, setup, directory, logs, tmpdir, exec; or deadline, leaving: the guard's own refusal.
        self.stage = stage
        self.errno = errno
        self.message = message

    def __str__(self) -> str:
        return f"not started ({self.stage}): {self.message}"


@dataclass(frozen=True, kw_only=True)
class Welcome:
    """What the guard answers to hello."""

    slots: int
    node: str
    block: str
    #: `PID:STARTTIME` of the guard.
    guard: str
    #: What runs already, or has ended and was never settled.
    running: tuple[Entry, ...]


def _nothing(*_values: object) -> None:
    pass


def _leave_now() -> None:
    os._exit(1)


@dataclass(frozen=True, kw_only=True)
class Callbacks:
    """Called in the reader's thread: they must return soon, or the guard takes the worker for hung."""

    #: `on_leave(why)`: the node leaves; every jobfile is being ended. Hand back and exit.
    on_leave: Callable[[str], None] = _nothing
    #: `on_warned(why)`: the node's end is near. Claim nothing more; what runs goes on.
    on_warned: Callable[[str], None] = _nothing
    #: `on_froze(token, why)`: every process of it stands still.
    on_froze: Callable[[str, str], None] = _nothing
    #: `on_thawed(token)`: it runs again.
    on_thawed: Callable[[str], None] = _nothing
    #: `on_started(token, pid, started_boottime)`.
    on_started: Callable[[str, int, float], None] = _nothing
    #: The line is closed. If the guard is dead, every process of its jobfiles was sent SIGKILL. The worker ends now, settling nothing more.
    on_guard_gone: Callable[[], None] = _leave_now
    #: Whether to tell the guard that we live, asked about every ten seconds.
    is_alive: Callable[[], bool] = lambda: True


class Handle:
    """One jobfile that the guard has."""

    def __init__(self, token: str, entry: Entry | None = None) -> None:
        self.token = token
        #: What the guard said of it when we said hello; None if we started it.
        self.entry = entry
        #: None until it runs.
        self.pid = entry.pid if entry else None
        #: CLOCK_BOOTTIME of its start; None until it runs.
        self.started_boottime = entry.started_boottime if entry else None
        self.is_frozen = entry is not None and entry.state == "frozen"
        self._ending: Ending | None = entry.ending if entry else None
        self._error: GuardError | None = None
        self._changed = threading.Condition()

    def wait(self, timeout_s: float | None = None) -> Ending:
        """Its ending, as soon as there is one. Raises StartFailed, GuardGone, or TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._ending or self._error, timeout_s):
                raise TimeoutError(f"the jobfile has not ended within {timeout_s:g} s")
            return self._result()

    def wait_started(self, timeout_s: float | None = None) -> None:
        """Return when it runs (or has run). Raises as `wait`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.pid or self._ending or self._error, timeout_s):
                raise TimeoutError(f"the jobfile has not started within {timeout_s:g} s")
            if self.pid is None:
                self._result()

    def _result(self) -> Ending:
        if self._ending is not None:
            return self._ending
        raise self._error or GuardGone("the guard has died")

    @property
    def ending(self) -> Ending | None:
        """None while it runs."""
        return self._ending

    def _change(self, **values: Any) -> None:
        with self._changed:
            for name, value in values.items():
                setattr(self, name, value)
            self._changed.notify_all()


class GuardClient:
    """One worker's line to its guard; every method may be called from any thread."""

    def __init__(self, fd: int, callbacks: Callbacks | None = None, *, incarnation: str | None = None) -> None:
        self._socket = socket.socket(fileno=fd)
        self._callbacks = callbacks or Callbacks()
        #: Distinguishes this worker process from the guard's earlier ones.
        self.incarnation = incarnation or uuid.uuid4().hex
        self._handles: dict[str, Handle] = {}
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._welcome: Welcome | None = None
        self._welcomed = threading.Event()
        self._verbs: dict[str, Callable[[Message], None]] = {
            protocol.WELCOME: self._on_welcome,
            protocol.STARTED: self._on_started,
            protocol.START_FAILED: self._on_start_failed,
            protocol.FROZE: self._on_froze,
            protocol.THAWED: self._on_thawed,
            protocol.ENDED: self._on_ended,
            protocol.WARN: lambda message: self._callbacks.on_warned(message["why"]),
            protocol.LEAVE: lambda message: self._callbacks.on_leave(message["why"]),
        }

    # -- orders ---------------------------------------------------------------------------------------------------------------------

    def hello(self, timeout_s: float = 30.0) -> Welcome:
        """The first word; starts the reader. Raises GuardGone if no answer comes."""
        threading.Thread(target=self._read, name="guard-reader", daemon=True).start()
        self._send(protocol.HELLO, {"pid": os.getpid(), "incarnation": self.incarnation})
        if not self._welcomed.wait(timeout_s) or self._welcome is None:
            raise GuardGone(f"the guard has not answered within {timeout_s:g} s")
        return self._welcome

    def start(self, order: StartOrder) -> Handle:
        """Start a jobfile; whether that went well, the handle's `wait` says. Asked twice, it is started once."""
        with self._lock:
            handle = self._handles.setdefault(order.token, Handle(order.token))
        self._send(protocol.START, order.to_message())
        return handle

    def adopt(self, token: str) -> Handle:
        """What the guard had when we said hello, running or ended. Raises KeyError if it had no such jobfile."""
        with self._lock:
            return self._handles[token]

    def extend(self, token: str, deadline: float | None) -> None:
        """Move the dead-man's switch; does not wake what is frozen."""
        self._send(protocol.EXTEND, {"token": token, "deadline": deadline})

    def thaw(self, token: str, deadline: float | None) -> None:
        """Wake it, unless that deadline has passed: then `on_froze` comes again."""
        self._send(protocol.THAW, {"token": token, "deadline": deadline})

    def end(self, token: str, why: str, grace_s: float = 2.0) -> None:
        """SIGTERM and after `grace_s` SIGKILL to all of it; SIGKILL at once if that is 0 or it is frozen. The handle gets its ending."""
        self._send(protocol.END, {"token": token, "why": why, "grace_s": grace_s})

    def forget(self, token: str) -> None:
        """The broker has its ending: the guard drops it and removes its record."""
        with self._lock:
            self._handles.pop(token, None)
        self._send(protocol.FORGET, {"token": token})

    def goodbye(self) -> None:
        """This worker leaves for good; when it has exited, so does the guard."""
        self._send(protocol.GOODBYE, {})

    def _send(self, kind: str, values: Message) -> None:
        data = encode(kind, values)
        # A guard that has gone is noticed by the reader, which ends the worker.
        with self._sending, contextlib.suppress(OSError):
            self._socket.sendall(data)

    # -- news -----------------------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        lines = Lines()
        next_alive = time.monotonic() + ALIVE_EVERY_S
        while True:
            data = self._receive(max(0.0, next_alive - time.monotonic()))
            if data == b"":
                break
            for message in lines.feed(data or b""):
                self._dispatch(message)
            if time.monotonic() >= next_alive:
                next_alive = time.monotonic() + ALIVE_EVERY_S
                if self._callbacks.is_alive():
                    self._send(protocol.ALIVE, {"pid": os.getpid(), "incarnation": self.incarnation})
        self._guard_gone()

    def _receive(self, timeout_s: float) -> bytes | None:
        """None: nothing came in time; empty: the guard has gone."""
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return None
        try:
            return self._socket.recv(_READ)
        except ConnectionError:
            return b""

    def _dispatch(self, message: Mapping[str, Any]) -> None:
        verb = self._verbs.get(message["kind"])
        if verb is None:
            log.error("guard_client.unknown kind=%s", message["kind"])
        else:
            verb(message)

    def _handle(self, message: Message) -> Handle | None:
        with self._lock:
            return self._handles.get(message["token"])

    def _change(self, message: Message, **values: Any) -> None:
        handle = self._handle(message)
        if handle is not None:
            handle._change(**values)

    def _on_welcome(self, message: Message) -> None:
        running = tuple(Entry.from_message(entry) for entry in message["running"])
        with self._lock:
            for entry in running:
                self._handles.setdefault(entry.token, Handle(entry.token, entry))
        names = {name: message[name] for name in ("slots", "node", "block", "guard")}
        self._welcome = Welcome(**names, running=running)
        self._welcomed.set()

    def _on_started(self, message: Message) -> None:
        self._change(message, pid=message["pid"], started_boottime=message["started_boottime"])
        self._callbacks.on_started(message["token"], message["pid"], message["started_boottime"])

    def _on_start_failed(self, message: Message) -> None:
        error = StartFailed(message["stage"], message["errno"], message["message"])
        self._change(message, _error=error)
        with self._lock:
            self._handles.pop(message["token"], None)

    def _on_froze(self, message: Message) -> None:
        self._change(message, is_frozen=True)
        self._callbacks.on_froze(message["token"], message["why"])

    def _on_thawed(self, message: Message) -> None:
        self._change(message, is_frozen=False)
        self._callbacks.on_thawed(message["token"])

    def _on_ended(self, message: Message) -> None:
        self._change(message, _ending=Ending.from_message(message))

    def _guard_gone(self) -> None:
        with self._lock:
            handles = [handle for handle in self._handles.values() if handle.ending is None]
        if self._is_guard_dead():
            # LEASES rule 15: the jobfiles themselves died with the guard, what they had started did not.
            killed = end_attempts({h.token for h in handles}, {h.pid for h in handles if h.pid})
            log.critical("guard_client.guard_gone attempts=%d processes=%d", len(handles), killed)
        else:
            log.critical("guard_client.dropped attempts=%d", len(handles))
        # First: a task body that is woken now would hand its jobfile back, and its slot would claim the next one.
        self._callbacks.on_guard_gone()
        for handle in handles:
            handle._change(_error=GuardGone("the guard has died, and the jobfile with it"))

    def _is_guard_dead(self) -> bool:
        """A guard that lives has closed the line on us because it replaces us: what it runs goes on without us."""
        until = time.monotonic() + _DYING_S
        while self._welcome is not None and is_alive(self._welcome.guard):
            if time.monotonic() >= until:
                return False
            time.sleep(_DYING_POLL_S)
        return True


def end_attempts(tokens: set[str], sessions: set[int]) -> int:
    """SIGKILL to whatever carries one of these tokens or is in a session that one of these jobfiles made. How many."""
    marks = {os.fsencode(token) for token in tokens}

    def is_meant(process: Process) -> bool:
        return process.session in sessions or read_environ(process.pid).get(TOKEN) in marks

    return end_marked(is_meant)


__all__ = [
    "Callbacks",
    "Ending",
    "Entry",
    "GuardClient",
    "GuardError",
    "GuardGone",
    "Handle",
    "StartFailed",
    "StartOrder",
    "Welcome",
    "end_attempts",
]
