"""One end of a stream socket that carries messages, for the loop: never blocks, in neither direction."""

import contextlib
import socket
from collections.abc import Callable
from typing import Any

from tasks.guard.loop import Loop
from tasks.guard.protocol import Lines, Message, encode

_READ = 1 << 16


class Channel:
    """Messages in and out of one socket. A peer that does not read costs memory, not time."""

    def __init__(self, loop: Loop, end: socket.socket, on_message: Callable[[dict[str, Any]], None], on_eof: Callable[[], None]) -> None:
        end.setblocking(False)
        self._loop = loop
        self._socket = end
        self._on_message = on_message
        self._on_eof = on_eof
        self._lines = Lines()
        self._out = bytearray()
        self._open = True
        #: For the peer to read what was sent.
        self._waiting = False
        loop.watch(end.fileno(), self._readable)

    def send(self, kind: str, values: Message | None = None) -> None:
        """Now if the peer takes it, else as soon as it does; nothing if it has gone."""
        if not self._open:
            return
        self._out += encode(kind, values)
        self._flush()

    def _flush(self) -> None:
        waiting = True
        try:
            while self._out:
                del self._out[: self._socket.send(self._out)]
            waiting = False
        except BlockingIOError:
            pass
        except OSError:  # The peer has gone; its end of file is read in due course.
            self._out.clear()
            waiting = False
        if waiting != self._waiting:
            self._waiting = waiting
            self._loop.watch(self._socket.fileno(), self._readable, on_writable=self._flush if waiting else None)

    def _readable(self) -> None:
        if not self._read_some():
            self.close()
            self._on_eof()

    def _read_some(self) -> bool:
        """Whether the peer is still there."""
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return True
        except OSError:
            return False
        for message in self._lines.feed(data):
            self._on_message(message)
        return bool(data)

    def drain(self) -> None:
        """Handle what has arrived already, before the channel is closed."""
        while self._open and self._peek():
            self._read_some()

    def _peek(self) -> int:
        with contextlib.suppress(OSError):
            return len(self._socket.recv(1, socket.MSG_PEEK))
        return 0

    def close(self) -> None:
        if self._open:
            self._open = False
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()
