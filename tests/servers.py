"""Real servers for tests: their own folder, socket and port; gone when the test is."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from broker import process
from broker.address import Address, read_address, this_host, write_address
from broker.binary import ServerBinary, find_server
from broker.client import Endpoint, connect
from broker.errors import NoServer
from broker.home import Home
from broker.lock import SUPERVISOR
from broker.secret import password
from broker.server import ServerConf, ServerProcess, choose_port, start


def missing(what: str) -> NoReturn:
    """A part that the test needs is not there: a loud skip at home, a failure in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"missing in CI: {what}")
    pytest.skip(f"MISSING: {what}")


def binary() -> ServerBinary:
    """This machine's server program."""
    try:
        return find_server(os.environ, os.environ.get("PATH", os.defpath))
    except NoServer as error:
        missing(str(error))


def wait_until(predicate: Callable[[], Any], timeout_s: float = 10.0, what: str = "it to become true") -> Any:
    """Wait for a true value and return it; the failure says the last value seen."""
    end = time.monotonic() + timeout_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"waited {timeout_s:g} s for {what}; last seen: {value!r}")
        time.sleep(0.02)


@contextmanager
def temporary_home() -> Iterator[Home]:
    """A broker's home with a password, under a short path; at the end its broker is killed, if one was started, and the files go."""
    home = Home(Path(tempfile.mkdtemp(prefix="nt-")))
    home.create()
    password(home, create=True)
    try:
        yield home
    finally:
        kill_broker(home)
        shutil.rmtree(home.root, ignore_errors=True)
        home.socket_file.unlink(missing_ok=True)


def supervisors(home: Home) -> list[int]:
    """The supervisors of this home that run on this machine."""
    return [pid for pid in process.find(SUPERVISOR) if any(f'"home": "{home.root}"' in word for word in process.argv(pid))]


def servers(home: Home) -> list[int]:
    """The server processes of this home, whatever their epoch."""
    return [pid for folder in home.root.glob("epoch-*") for pid in process.find(str(folder / "server.conf"))]


def kill_broker(home: Home) -> None:
    """SIGKILL to supervisor and server of this home: the supervisor first, or it would start the server again."""
    for find in (supervisors, servers):
        for pid in find(home):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda find=find: not find(home), 5, f"the {find.__name__} to end")  # type: ignore[misc]


class Server:
    """A bare server of our conf on a home's data, without a supervisor; the home's address file points to it.

    Tests whose scripts need a beat call `Scripts(server.client()).beat(...)` themselves.
    """

    def __init__(self, home: Home, *, fsync: str = "always") -> None:
        self.home = home
        self.fsync = fsync
        self.directory = home.epoch_dir(1)
        self.directory.mkdir(mode=0o700)
        (self.directory / "complete").touch()
        self.socket = home.root / "s"
        self.port = 0
        self.password = password(home, create=True)
        self.process: ServerProcess | None = None
        self._clients: list[Any] = []
        self._watcher: subprocess.Popen[bytes] | None = None

    @property
    def logfile(self) -> Path:
        return self.home.server_log

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def conf(self) -> ServerConf:
        return ServerConf(
            directory=self.directory, socket=self.socket, port=self.port, bind="loopback", fsync=self.fsync, password=self.password,
            maxclients=512, log_file=self.logfile, version=binary().version,
        )

    def start(self) -> None:
        """Start it, on the port it had before, and wait until it answers."""
        self.port = choose_port(self.port, "loopback")
        self.process = start(binary(), self.conf())
        self._watch(self.process.pid)
        write_address(self.home, Address(
            epoch=1, hosts=("127.0.0.1",), port=self.port, socket=str(self.socket), host=this_host(), server_pid=self.process.pid,
            supervisor_pid=0, started_at=time.time(),
        ))
        wait_until(self._answers, 20, f"the server to answer; log: {self.logfile}")

    def _watch(self, pid: int) -> None:
        """The server is no child in any session of ours: when this process is killed, somebody must end it."""
        self._unwatch()
        self._watcher = subprocess.Popen(["/bin/sh", "-c", 'read _; kill -9 "$0"', str(pid)], stdin=subprocess.PIPE, start_new_session=True)

    def _unwatch(self) -> None:
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.is_alive, self.logfile.read_text()
        client = connect(Endpoint(host="", port=0, socket=str(self.socket), password=self.password), 5.0)
        try:
            return bool(client.ping())
        except Exception:  # noqa: BLE001 - whatever it is, it is not up yet
            return False
        finally:
            client.close()

    def client(self, *, timeout_s: float = 10.0, tcp: bool = False) -> Any:
        """A new client, by the unix socket unless `tcp`; closed with the server."""
        socket = "" if tcp else str(self.socket)
        client = connect(Endpoint(host="127.0.0.1", port=self.port, socket=socket, password=self.password), timeout_s)
        self._clients.append(client)
        return client

    def kill9(self) -> None:
        """As a crash of the process."""
        self._unwatch()
        os.kill(self.pid, signal.SIGKILL)
        wait_until(lambda: self.process is None or not self.process.is_alive, 10, "the killed server to be gone")

    def restart(self) -> None:
        """Stop it in good order if it runs, and start it on the same data and port."""
        self.stop()
        self.start()

    def stop(self) -> None:
        self._unwatch()
        if self.process is not None and self.process.is_alive:
            self.sigcont()
            assert self.process.stop(20), self.logfile.read_text()

    def sigstop(self) -> None:
        """As a server that hangs: connections are made, and nobody answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def sigcont(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """The end, whatever state it is in."""
        for client in self._clients:
            client.close()
        self._unwatch()
        if self.process is not None and self.process.is_alive:
            self.kill9()


def address_of(home: Home) -> Address:
    """The home's address, which a test knows to be there."""
    address = read_address(home)
    assert address is not None
    return address
