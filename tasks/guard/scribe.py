"""A persistent child that writes result records and tidies up after jobfiles, so that the guard never waits for a filesystem."""

import contextlib
import json
import os
import shutil
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tasks.guard import child, log
from tasks.guard.channel import Channel
from tasks.guard.loop import Loop, Timer
from tasks.guard.protocol import Lines, Message, encode

#: One jobfile has ended: write its record, remove its empty stderr and its TMPDIR.
CLOSE = "close"
#: It is settled: remove its record.
UNLINK = "unlink"

_HIRE_AGAIN_S = 1.0

#: These come to the whole process group, or from Slurm to every process of the step: the records must still be written.
_DEAF_TO = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT, signal.SIGPIPE)


@dataclass(kw_only=True, slots=True)
class _Errand:
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
            self._channel.send(CLOSE, errand.values)

    def _hire_if_needed(self) -> None:
        if self._channel is None and self._errands:
            self._hire()

    def close(self, values: Message, on_done: Callable[[bool], None], *, timeout_s: float) -> None:
        """`on_done(recorded)` when the record is on disk, could not be written, or has taken too long."""
        self._next += 1
        number = self._next
        patience = self._loop.after(timeout_s, lambda: self._too_long(number))
        self._errands[number] = _Errand(values={**values, "number": number}, on_done=on_done, patience=patience)
        if self._channel is None:
            self._hire()
        else:
            self._channel.send(CLOSE, self._errands[number].values)

    def unlink(self, record: str) -> None:
        """Nobody waits for it: of one that is lost with its scribe nothing is left but a file, which the broker's host removes in time."""
        if self._channel is not None:
            self._channel.send(UNLINK, {"record": record})

    @property
    def is_idle(self) -> bool:
        return not self._errands

    def _answered(self, answer: Message) -> None:
        errand = self._errands.pop(answer["number"], None)
        if errand is None:
            return
        errand.patience.cancel()
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


# -- the child ----------------------------------------------------------------------------------------------------------------------


def _serve(end: socket.socket) -> None:
    for number in _DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    # What it forks to clear large folders is nobody's to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    lines = Lines()
    while data := end.recv(1 << 16):
        # All are written before the first is synced: the filesystem's journal then holds several in one commit.
        for errand, begun in [(errand, _begin(errand)) for errand in lines.feed(data)]:
            _finish(errand, begun, end)
    os._exit(0)


def _begin(errand: dict[str, Any]) -> int | OSError | None:
    """Write the record. The descriptor to sync it by, or why there is none, or None if none is wanted."""
    if errand["kind"] == UNLINK or errand["record"] is None:
        return None
    try:
        return write_record(errand["record"], errand["body"])
    except OSError as error:
        return error


def _finish(errand: dict[str, Any], begun: int | OSError | None, end: socket.socket) -> None:
    if errand["kind"] == UNLINK:
        _note_error(UNLINK, _error_of(lambda: _unlink(errand["record"])))
        return
    error = begun if isinstance(begun, OSError) else None
    if isinstance(begun, int):
        error = _error_of(lambda: sync_record(errand["record"], begun))
    _note_error(CLOSE, error)
    _remove_if_empty(errand["stderr"])
    with contextlib.suppress(OSError):  # The guard has gone; its errands are still done.
        end.sendall(encode("done", {"number": errand["number"], "error": None if error is None else str(error)}))
    if errand["tmpdir"]:
        remove_folder(errand["tmpdir"])


def _error_of(call: Callable[[], object]) -> OSError | None:
    try:
        call()
    except OSError as error:
        return error
    return None


def _note_error(kind: str, error: OSError | None) -> None:
    if error is not None:
        log.error("scribe.failed errand=%s error=%s", kind, error)


def write_record(path: str, body: Message) -> int:
    """Whole for whoever reads it, under its name; the descriptor to sync it by. Raises OSError.

    It gets its name before it is synced: one commit of the filesystem's journal, which is what takes the time, then holds both. What a
    crash leaves of one that was not synced yet may be empty, and counts as none (`tasks.record.parse_record`).
    """
    draft = f"{path}.{os.getpid()}"
    fd = _open_draft(draft, os.path.dirname(path))
    try:
        _write(fd, json.dumps(body).encode())
        os.rename(draft, path)
    except OSError:
        os.close(fd)
        _unlink(draft)
        raise
    return fd


def sync_record(path: str, fd: int) -> None:
    """There also after a crash of the node; raises OSError."""
    try:
        os.fsync(fd)
        _sync_folder(os.path.dirname(path))
    except OSError:
        _unlink(path)
        raise
    finally:
        os.close(fd)


def _write(fd: int, data: bytes) -> None:
    while data:
        # A full disk takes a part first, and raises at the rest.
        data = data[os.write(fd, data) :]


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
