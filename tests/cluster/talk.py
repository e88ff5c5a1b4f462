"""Two hosts that talk over TCP, for tests of cuts: what is written on one side is read on the other, or is not."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import servers
from cluster.slurm_cluster import Cluster

PORT = 7777
#: Listens, answers every line with the line, and says "open" first.
_LISTEN = f"""
import socket
server = socket.create_server(("", {PORT}))
print("open", flush=True)
connection, _ = server.accept()
for line in connection.makefile("rb"):
    connection.sendall(line)
"""
_CONNECT = f"""
import socket, sys
connection = socket.create_connection((sys.argv[1], {PORT}))
lines = connection.makefile("rb")
print("open", flush=True)
for line in sys.stdin.buffer:
    connection.sendall(line)
    sys.stdout.buffer.write(lines.readline())
    sys.stdout.flush()
"""


class Talk:
    """A connection between a host and another."""

    def __init__(self, cluster: Cluster, here: str, there: str) -> None:
        self._cluster = cluster
        self.here = here
        self._listener = self._start(there, _LISTEN)
        self._talker = self._start(here, _CONNECT, there)

    def _start(self, host: str, program: str, *arguments: str) -> "subprocess.Popen[str]":
        argv = ["python3", "-c", program, *arguments]
        process = self._cluster.popen(host, argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        return process

    def say(self, word: str) -> None:
        assert self._talker.stdin is not None
        self._talker.stdin.write(f"{word}\n")
        self._talker.stdin.flush()

    def heard(self) -> str:
        """The next line that comes back, waited for."""
        assert self._talker.stdout is not None
        return self._talker.stdout.readline().strip()

    def state(self) -> str:
        """The connection as this host's kernel sees it, with what was sent and not acknowledged ("ESTAB 6"); empty if there is none."""
        command = ["ss", "-Htn", "state", "connected", f"dport = :{PORT}"]
        words = self._cluster.run(self.here, command, user="root", check=True).stdout.split()
        return f"{words[0]} {words[2]}" if words else ""

    def is_unanswered(self) -> bool:
        """Established, with something underway that nobody acknowledges."""
        return self.state().startswith("ESTAB") and not self.state().endswith(" 0")

    def close(self) -> None:
        for process in (self._listener, self._talker):
            process.kill()
            process.communicate()


@contextmanager
def talk(cluster: Cluster, here: str, there: str) -> Iterator[Talk]:
    made = Talk(cluster, here, there)
    try:
        made.say("hello")
        assert made.heard() == "hello"
        servers.wait_until(lambda: made.state() == "ESTAB 0", 10, "an idle connection")
        yield made
    finally:
        made.close()
