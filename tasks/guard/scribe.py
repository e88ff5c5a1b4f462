"""A persistent child that writes result records and tidies up after jobfiles, so that the guard never waits for a filesystem."""

import contextlib
import json
import logging
import os
import shutil
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tasks.guard import child
from tasks.guard.channel import Channel
from tasks.guard.loop import Loop, Timer
from tasks.guard.protocol import Lines, Message, encode

log = logging.getLogger(__name__)

#: One jobfile has ended: write its record, remove its empty stderr and its TMPDIR.
CLOSE = "close"
#: It is settled: remove its record.
UNLINK = "unlink"

_HIRE_AGAIN_S = 1.0

#: These come to the whole process group, or from Slurm to every process of the step: the records must still be written.
_DEAF_TO = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT, signal.SIGPIPE)


@dataclass(kw_only=True, slots=True)
class _Errand:
    kind: str
    values: Message
    on_done: Callable[[bool], None]
    patience: Timer


class Scribe:
    """The guard's side: hands out errands; replaces a child that hangs."""

    def __init__(self, loop: Loop, timeout_s: float, on_child: Callable[[int], None]) -> None:
        """`on_child(pid)` when a child was forked."""
        self._loop = loop
        self._timeout_s = timeout_s
        self._on_child = on_child
        self._errands: dict[int, _Errand] = {}
        self._next = 0
        self.pid = 0
        self._channel: Channel | None = None
        self._hire()

    def _hire(self) -> None:
        """A new child, with all errands that are open."""
        ours, theirs = socket.socketpair()
        try:
            self.pid = child.fork(lambda: _serve(theirs), keep=[theirs.fileno()], dies_with_guard=False)
        except OSError as error:  # No room for a process now: tried again with the next errand, and in a second.
            log.error("scribe.cannot_fork error=%s", error)
            ours.close()
            self._loop.after(_HIRE_AGAIN_S, self._hire_if_needed)
            return
        finally:
            theirs.close()
        self._on_child(self.pid)
        self._channel = Channel(self._loop, ours, self._answered, self._gone)
        for errand in self._errands.values():
            self._channel.send(errand.kind, errand.values)

    def _hire_if_needed(self) -> None:
        if self._channel is None and self._errands:
            self._hire()

    def close(self, values: Message, on_done: Callable[[bool], None], *, timeout_s: float) -> None:
        """`on_done(recorded)` when the record is on disk, could not be written, or has taken too long."""
        self._send(CLOSE, values, on_done, timeout_s)

    def unlink(self, record: str) -> None:
        self._send(UNLINK, {"record": record}, _no_matter, self._timeout_s)

    def _send(self, kind: str, values: Message, on_done: Callable[[bool], None], timeout_s: float) -> None:
        self._next += 1
        number = self._next
        patience = self._loop.after(timeout_s, lambda: self._too_long(number))
        self._errands[number] = _Errand(kind=kind, values={**values, "number": number}, on_done=on_done, patience=patience)
        if self._channel is None:
            self._hire()
        else:
            self._channel.send(kind, self._errands[number].values)

    @property
    def is_idle(self) -> bool:
        return not self._errands

    def _answered(self, answer: Message) -> None:
        errand = self._errands.pop(answer["number"], None)
        if errand is None:
            return
        errand.patience.cancel()
        if answer["error"]:
            log.error("scribe.failed errand=%s error=%s", errand.kind, answer["error"])
        errand.on_done(answer["error"] is None and errand.values.get("record") is not None)

    def _too_long(self, number: int) -> None:
        record = self._errands[number].values.get("record")
        log.error("scribe.hangs timeout_s=%g record=%r", self._timeout_s, record)
        self._replace(number)

    def _gone(self) -> None:
        log.error("scribe.gone pid=%d errands=%d", self.pid, len(self._errands))
        # The one that it was at may be what it died of.
        self._replace(next(iter(self._errands), None))

    def _replace(self, failed: int | None) -> None:
        """End the child (if it is blocked in the kernel, as soon as that lets it go); a new one gets its errands but the failed one."""
        if self._channel is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.dismiss()
        errand = self._errands.pop(failed) if failed is not None else None
        if self._errands:
            self._hire()
        if errand is not None:
            errand.patience.cancel()
            errand.on_done(False)

    def dismiss(self) -> None:
        """It finishes what it has and ends."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def _no_matter(_recorded: bool) -> None:
    pass


# -- the child ----------------------------------------------------------------------------------------------------------------------


def _serve(end: socket.socket) -> None:
    for number in _DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    # What it forks to clear large folders is nobody's to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    lines = Lines()
    while data := end.recv(1 << 16):
        for errand in lines.feed(data):
            _do(errand, end)
    os._exit(0)


def _do(errand: dict[str, Any], end: socket.socket) -> None:
    error = _attempt(errand)
    with contextlib.suppress(OSError):  # The guard has gone; its errands are still done.
        end.sendall(encode("done", {"number": errand["number"], "error": error}))
    if errand["kind"] == CLOSE and errand["tmpdir"]:
        remove_folder(errand["tmpdir"])


def _attempt(errand: dict[str, Any]) -> str | None:
    try:
        if errand["kind"] == UNLINK:
            _unlink(errand["record"])
        else:
            _close(errand)
    except OSError as error:
        return str(error)
    return None


def _close(errand: dict[str, Any]) -> None:
    try:
        if errand["record"] is not None:
            write_record(errand["record"], errand["body"])
    finally:
        _remove_if_empty(errand["stderr"])


def write_record(path: str, body: Message) -> None:
    """Whole or not at all, and there after a crash of the node; raises OSError."""
    folder = os.path.dirname(path)
    draft = f"{path}.{os.getpid()}"
    fd = _open_draft(draft, folder)
    try:
        _write_and_sync(fd, json.dumps(body).encode())
        os.rename(draft, path)
    except OSError:
        _unlink(draft)
        raise
    _sync_folder(folder)


def _write_and_sync(fd: int, data: bytes) -> None:
    try:
        while data:
            # A full disk takes a part first, and raises at the rest.
            data = data[os.write(fd, data) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def _open_draft(draft: str, folder: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        return os.open(draft, flags, 0o600)
    except FileNotFoundError:
        os.makedirs(folder, 0o700, exist_ok=True)
        return os.open(draft, flags, 0o600)


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _remove_if_empty(path: str) -> None:
    # The user may have removed it, or made it unreadable: it is theirs, and only tidied up.
    with contextlib.suppress(OSError):
        if os.lstat(path).st_size == 0:
            os.unlink(path)


def remove_folder(folder: str) -> None:
    """At once if it is empty, else in a child: a million temporary files must not hold up the next record."""
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return
    except OSError:
        if os.fork() == 0:
            _remove_and_exit(folder)


def _remove_and_exit(folder: str) -> None:
    try:
        os.nice(19)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os._exit(0)
