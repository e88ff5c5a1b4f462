"""A real guard for the tests. Its worker is a process that hands its line to the guard over to the test and then only lives."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks.guard.clock import boottime
from tasks.guard.leftovers import GUARD
from tasks.guard.process import all_pids, read_environ, read_process
from tasks.guard_client import Callbacks, GuardClient, Handle, StartOrder, Welcome

WORKER = """
import os, signal, socket, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
socket.send_fds(line, [b"%d" % os.getpid()], [int(sys.argv[sys.argv.index("--guard-fd") + 1])])
line.recv(1)
"""


def wait_until(what: Callable[[], Any], timeout_s: float = 8.0) -> Any:
    """What `what` returns, once it is true; fails with the last thing that it returned."""
    until = time.monotonic() + timeout_s
    while not (seen := what()):
        assert time.monotonic() < until, f"not within {timeout_s:g} s; last seen: {seen!r}"
        time.sleep(0.01)
    return seen


def is_running(pid: int) -> bool:
    process = read_process(pid)
    return process is not None and not process.is_gone


class FakeWorker:
    """One worker process, and the test's hold of its line."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        said, fds, _, _ = socket.recv_fds(connection, 64, 1)
        self.pid = int(said)
        self.fd = fds[0]
        self.news: list[tuple[Any, ...]] = []
        self.client = GuardClient(self.fd, self._callbacks())
        self.welcome: Welcome | None = None

    def _callbacks(self) -> Callbacks:
        return Callbacks(
            on_leave=lambda why: self.news.append(("leave", why)),
            on_warned=lambda why: self.news.append(("warn", why)),
            on_froze=lambda token, why: self.news.append(("froze", token, why)),
            on_thawed=lambda token: self.news.append(("thawed", token)),
            on_guard_gone=lambda: self.news.append(("guard gone",)),
        )

    def hello(self) -> Welcome:
        self.welcome = self.client.hello(5)
        return self.welcome

    def has_heard(self, *news: Any) -> bool:
        return news in self.news

    def let_exit(self) -> None:
        """The process exits by itself."""
        self.connection.close()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.connection.close()


class GuardNode:
    """One guard and whatever it runs; leaves nothing behind."""

    def __init__(self, folder: Path, *, environ: dict[str, str] | None = None, **settings: Any) -> None:
        self.folder = folder
        self.jobs = folder / "jobs"
        self.jobs.mkdir(exist_ok=True)
        (folder / "tmp").mkdir(exist_ok=True)
        self.log = folder / "guard.log"
        self.socket = socket.socket(socket.AF_UNIX)
        path = folder / f"control-{uuid.uuid4().hex[:6]}"
        self.socket.bind(os.path.relpath(path) if len(str(path)) > 100 else str(path))
        self.socket.listen()
        self.socket.settimeout(8)
        values = {
            "block": "b1",
            "node": "n1",
            "slots": 2,
            "term_grace_s": 0.3,
            "tmp_root": str(folder / "tmp"),
            "log_file": str(self.log),
            "worker_argv": [sys.executable, "-I", "-c", WORKER, str(path)],
            **settings,
        }
        argv = [sys.executable, "-I", "-m", "tasks.guard", json.dumps(values)]
        self.process = subprocess.Popen(argv, env=environ, stderr=subprocess.PIPE)
        self.workers: list[FakeWorker] = []

    def __enter__(self) -> "GuardNode":
        return self

    def worker(self) -> FakeWorker:
        """The next worker that the guard starts."""
        worker = FakeWorker(self.socket.accept()[0])
        self.workers.append(worker)
        return worker

    def greeted(self) -> FakeWorker:
        worker = self.worker()
        worker.hello()
        return worker

    def jobfile(self, text: str, name: str = "a.sh") -> Path:
        path = self.jobs / name
        path.write_text(text)
        return path

    def order(self, text: str, name: str = "a.sh", **changes: Any) -> StartOrder:
        path = self.jobfile(text, name)
        token = uuid.uuid4().hex
        values = {
            "token": token,
            "id": "7",
            "attempt": 1,
            "argv": ("/bin/bash", str(path)),
            "cwd": str(path.parent),
            "stdout": f"{path}.out",
            "stderr": f"{path}.err",
            "umask": 0o022,
            "deadline": boottime() + 60,
            "record": str(self.folder / "records" / "00" / f"{token}.json"),
            "blob": {"any": "thing"},
        }
        return StartOrder(**{**values, **changes})

    def run(self, worker: FakeWorker, text: str, **changes: Any) -> Handle:
        return worker.client.start(self.order(text, **changes))

    def output(self, name: str = "a.sh") -> str:
        return (self.jobs / f"{name}.out").read_text()

    def left(self) -> list[int]:
        """Processes that carry this guard's mark: jobfiles, what they started, workers."""
        mark = f"{self.process.pid}:".encode()
        return [pid for pid in all_pids() if is_running(pid) and read_environ(pid).get(GUARD, b"").startswith(mark)]

    def leave(self) -> int:
        """SIGTERM; the workers exit when told. The exit code."""
        self.process.send_signal(signal.SIGTERM)
        for worker in self.workers:
            worker.let_exit()
        return self.process.wait(10)

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            for worker in self.workers:
                worker.let_exit()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for worker in self.workers:
            worker.let_exit()
        wait_until(lambda: not any(is_running(worker.pid) for worker in self.workers))
        if self.process.stderr:
            self.process.stderr.close()
        self.socket.close()
        left = self.left()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert not left, f"left behind: {left}; {self.log.read_text() if self.log.exists() else ''}"
