"""A network between a worker and its broker that can go silent: connections are made and kept, and nothing arrives any more."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

_PIECE = 1 << 16


class SilentProxy:
    """Passes everything on to a port of this machine, until it is told not to.

    As in a network that was cut, no connection ends by it; what was sent meanwhile arrives when it is whole again, however late.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._open = {"asked": threading.Event(), "answered": threading.Event()}
        self.heal()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Nothing passes any more, in neither direction."""
        for gate in self._open.values():
            gate.clear()

    def swallow_answers(self) -> None:
        """What is asked arrives, and what is answered does not."""
        self._open["answered"].clear()

    def heal(self) -> None:
        for gate in self._open.values():
            gate.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client = self._listener.accept()[0]
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._sockets.append(client)
        self._open["asked"].wait()
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            client.close()
            return
        self._sockets.append(server)
        for source, sink, gate in ((client, server, "asked"), (server, client, "answered")):
            threading.Thread(target=self._pass_on, args=(source, sink, self._open[gate]), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, gate: threading.Event) -> None:
        # Whichever end closes first, the other hears of it by this.
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE):
                gate.wait()
                sink.sendall(data)
        gate.wait()
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.heal()
        for end in (self._listener, *self._sockets):
            end.close()

    @classmethod
    @contextmanager
    def to(cls, port: int) -> Iterator[Self]:
        proxy = cls(port)
        try:
            yield proxy
        finally:
            proxy.close()
