"""A small farm for the transport's tests: a real server with beats, Celery workers as processes, and what their tasks wrote."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import servers
from redis.exceptions import RedisError

from broker.enqueue import Entry, enqueue
from broker.errors import Unreachable
from broker.ledger import Ledger
from broker.records import Job, State
from broker.scripts import Scripts
from broker.settings import LeaseSettings

WORKER = Path(__file__).with_name("lease_worker.py")
#: Two seconds in place of five minutes.
LEASE = LeaseSettings(lease_s=2.0, margin_s=0.4, renew_every_s=0.4, beat_every_s=0.5, beat_fresh_s=2.0, reap_every_s=0.5, max_losses=2)


@dataclass(frozen=True)
class Run:
    """One start of a task, by its own words."""

    name: str
    worker: str
    started: float
    ended: float | None


class Farm:
    """A server, its beats, and workers."""

    def __init__(self, server: servers.Server, tmp: Path) -> None:
        self.server = server
        self.log = tmp / "runs.log"
        self.log.touch()
        self._tmp = tmp
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._over = threading.Event()
        self._counter = 0
        self._minder = threading.Thread(target=self._mind, daemon=True)
        self.beat()
        self._minder.start()

    def beat(self) -> None:
        self._counter += 1
        client = self.server.client(timeout_s=2.0)
        scripts = Scripts(client)
        seconds, micros = client.time()
        scripts.beat(seconds * 1000 + micros // 1000, self._counter, 1, str(client.info("server")["run_id"]), False, LEASE)
        scripts.reap()
        client.close()

    def _mind(self) -> None:
        while not self._over.wait(LEASE.beat_every_s):
            try:
                self.beat()
            except (Unreachable, RedisError, OSError):
                continue

    def enqueue(self, *names: str) -> None:
        scripts = Scripts(self.server.client())
        number, _ = scripts.campaign("farm", {"retries": "0"})
        enqueue(scripts, batch=f"b{time.time_ns()}", campaign=number, directory="/jobs", entries=[Entry(name=n, priority=5) for n in names])

    def start(self, name: str, slots: int = 1) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", str(WORKER), str(self.server.home.root), name, str(self.log), str(slots)]
        return self._start(name, command)

    def start_stock(self, name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", str(WORKER), str(self.server.home.root), name, str(self.log), "2", "stock", self.server.url]
        return self._start(name, command)

    def _start(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (self._tmp / f"{name}.err").open("ab") as err:
            self.workers[name] = subprocess.Popen(command, stderr=err, stdout=err, env={"PATH": os.defpath})
        servers.wait_until(lambda: "ready." in self.words(name), 20, f"worker {name} to be ready; {self._tmp}/{name}.err")
        return self.workers[name]

    def words(self, name: str) -> str:
        return (self._tmp / f"{name}.err").read_text()

    def runs(self) -> list[Run]:
        """Every start in the tasks' own log, with its end if it has one."""
        found: list[Run] = []
        ends: dict[tuple[str, str], list[float]] = {}
        lines = [line.split() for line in self.log.read_text().splitlines()]
        for at, what, name, worker in lines:
            if what == "end":
                ends.setdefault((name, worker), []).append(float(at))
        for at, what, name, worker in lines:
            if what == "start":
                later = [e for e in ends.get((name, worker), []) if e >= float(at)]
                found.append(Run(name, worker, float(at), min(later, default=None)))
        return found

    def starts(self) -> Counter[str]:
        return Counter(run.name for run in self.runs())

    def jobs(self) -> dict[str, Job]:
        client = self.server.client()
        try:
            return {job.name: job for job in Ledger(client).jobs()}
        finally:
            client.close()

    def states(self) -> Counter[State]:
        return Counter(job.state for job in self.jobs().values())

    def wait_ended(self, timeout_s: float = 30.0) -> Counter[State]:
        def ended() -> Any:
            states = self.states()
            return states if not states[State.QUEUED] and not states[State.RUNNING] else None

        states: Counter[State] = servers.wait_until(ended, timeout_s, f"all jobfiles to end; runs: {self.log.read_text()}")
        return states

    def close(self) -> None:
        self._over.set()
        self._minder.join(10)
        for process in self.workers.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(10)
