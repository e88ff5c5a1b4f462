"""The server process: the text of its conf file, its start, its end."""

import logging
import os
import resource
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from broker import process
from broker.binary import ServerBinary
from broker.errors import BrokerError
from broker.private import open_log, private_dir, write_private

log = logging.getLogger(__name__)

#: 5,000 workers with four connections each, and room. More than that no campaign needs, and some systems allow millions.
_MOST_CLIENTS = 50_000
#: What the server keeps for its own files beside the clients'.
_OWN_FILES = 64
#: A unix socket's path in bytes; Linux allows no more.
_LONGEST_SOCKET = 107


@dataclass(frozen=True, kw_only=True)
class ServerConf:
    """All that the server's conf file depends on."""

    #: The server's data; for nobody else's use.
    directory: Path
    #: The unix socket; None: TCP only.
    socket: Path | None
    port: int
    #: "loopback" or "all", as in ServerSettings.
    bind: str
    #: "always" or "everysec", as in ServerSettings.
    fsync: str
    password: str
    maxclients: int
    log_file: Path
    #: The server's own version: 6.2 has other names for some settings.
    version: tuple[int, int, int]

    @property
    def file(self) -> Path:
        return conf_file(self.directory)


def conf_file(directory: Path) -> Path:
    """The conf file; it is on the server's command line, and thereby the word that the process is known by."""
    return directory / "server.conf"


def render(conf: ServerConf) -> str:
    """The conf file's text. It holds the password."""
    compact = "listpack" if conf.version[0] >= 7 else "ziplist"
    lines = [
        f"port {conf.port}",
        "bind 127.0.0.1 -::1" if conf.bind == "loopback" else "bind * -::*",
        *([f"unixsocket {quote(conf.socket)}", "unixsocketperm 700"] if conf.socket else []),
        "protected-mode yes",
        # A password, and not `user default off`: with that a restart replays the AOF as a user who may do nothing, and loses data silently
        # (redis 7.0 and 8.2, valkey 8.1; tests/broker/test_server.py).
        f"requirepass {quote(conf.password)}",
        f"dir {quote(conf.directory)}",
        f"logfile {quote(conf.log_file)}",
        "loglevel notice",
        "daemonize no",
        # The command line stays as it was started: the process is found by it.
        "set-proc-title no",
        "appendonly yes",
        f"appendfsync {conf.fsync}",
        "no-appendfsync-on-rewrite no",
        "auto-aof-rewrite-percentage 100",
        "auto-aof-rewrite-min-size 64mb",
        'save ""',
        "maxmemory-policy noeviction",
        f"maxclients {conf.maxclients}",
        "tcp-backlog 4096",
        # A node that vanished leaves its connections behind.
        "tcp-keepalive 60",
        "timeout 0",
        # A jobfile's record is one small hash; in the compact form a million of them fit.
        f"hash-max-{compact}-value 1024",
        f"hash-max-{compact}-entries 128",
    ]
    return "\n".join(lines) + "\n"


def quote(value: str | Path) -> str:
    """A value as the conf file's syntax has it, whatever bytes are in it."""
    plain = "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\' else f"\\x{b:02x}" for b in os.fsencode(value))
    return f'"{plain}"'


def most_clients(hard_limit: int) -> int:
    """How many connections this machine's limit on open files lets the server have."""
    if hard_limit == resource.RLIM_INFINITY:
        return _MOST_CLIENTS
    return max(64, min(_MOST_CLIENTS, hard_limit - _OWN_FILES))


def choose_port(wanted: int, bind: str, patience_s: float = 0.5) -> int:
    """`wanted` if it is free, so that the broker keeps its port over restarts; else one that is.

    A process that has just died holds its port a little longer: a taken one is tried for `patience_s`.
    """
    end = time.monotonic() + patience_s
    while wanted:
        if _bind(wanted, bind):
            return wanted
        if time.monotonic() > end:
            break
        time.sleep(0.02)
    port = _bind(0, bind)
    if not port:
        raise BrokerError(f"no free TCP port on this machine (wanted {wanted})")
    return port


def _bind(port: int, bind: str) -> int:
    """The port, if it can be listened on; 0: any. 0 if not."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1" if bind == "loopback" else "", port))
        except OSError:
            return 0
        return int(probe.getsockname()[1])


def usable_socket(path: Path) -> Path | None:
    """The socket's path, its folder made or checked to be ours alone; None where the path is too long for a socket."""
    if len(os.fsencode(path)) > _LONGEST_SOCKET:
        log.warning("server.no_socket path=%s bytes=%d", path, len(os.fsencode(path)))
        return None
    private_dir(path.parent)
    return path


class ServerProcess:
    """A server of ours on this host, started by us or found running."""

    def __init__(self, pid: int, directory: Path, child: "subprocess.Popen[bytes] | None" = None) -> None:
        self.pid = pid
        self._word = str(conf_file(directory))
        self._child = child

    @classmethod
    def found(cls, directory: Path) -> "ServerProcess | None":
        """The server that runs on this directory, if one does: never start a second."""
        pids = process.find(str(conf_file(directory)))
        return cls(pids[0], directory) if pids else None

    @property
    def is_alive(self) -> bool:
        if self._child is not None:
            return self._child.poll() is None
        return process.is_running(self.pid, self._word)

    @property
    def how_it_ended(self) -> str:
        """For the log; only a parent is told."""
        return "unknown" if self._child is None else str(self._child.poll())

    def stop(self, timeout_s: float) -> bool:
        """Let it flush its AOF and end (SIGTERM is its SHUTDOWN); whether it did."""
        if self.is_alive:
            process.send(self.pid, self._word, signal.SIGTERM)
        if self._child is None:
            return process.wait_gone(self.pid, self._word, timeout_s)
        try:
            self._child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self, timeout_s: float) -> bool:
        """Stop it, or kill it if it does not: for a server that must not be used any more; whether it is gone."""
        if self.stop(timeout_s):
            return True
        log.error("server.killed pid=%d", self.pid)
        process.send(self.pid, self._word, signal.SIGKILL)
        return self.stop(timeout_s)


def start(binary: ServerBinary, conf: ServerConf) -> ServerProcess:
    """Start the server in a session of its own: it outlives its supervisor. Raises OSError."""
    write_private(conf.file, render(conf))
    with open_log(conf.log_file) as output:
        child = subprocess.Popen(
            [binary.path, str(conf.file)], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            cwd="/", start_new_session=True, umask=0o077,
        )
    log.info("server.started pid=%d port=%d product=%s version=%d.%d.%d", child.pid, conf.port, binary.product, *binary.version)
    return ServerProcess(child.pid, conf.directory, child)


def last_words(log_file: Path, lines: int = 5) -> str:
    """The end of the server's log, for an error's text."""
    try:
        with log_file.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            return "\n".join(os.fsdecode(file.read()).splitlines()[-lines:])
    except OSError as error:
        return f"(no log: {error})"
