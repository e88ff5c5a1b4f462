"""A whole machine for tests: a home, a directory of jobfiles, and all of it as real processes, run as a user does."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import servers
from whole.proc import children, cmdline, environ, kill, parent
from whole.run_log import RunLog

from broker.client import open_client
from broker.errors import Unreachable
from broker.home import Home
from broker.ledger import Ledger
from broker.records import Job, State
from nunatak.block_file import BlockFile, write_block_file

PROGRAM = (sys.executable, "-I", "-c", "from nunatak.main import main; main()")
#: Seconds in place of minutes: (lease, margin, renewal, beat, freshness, reaping).
QUICK_LEASE = {"LEASE_S": "4", "MARGIN_S": "1", "RENEW_EVERY_S": "0.5", "BEAT_EVERY_S": "0.5", "BEAT_FRESH_S": "3", "REAP_EVERY_S": "0.3"}
#: In the command lines of the broker's processes, and of the commands that the test itself waits for.
_OTHERS = ("broker.supervisor", "server.conf", "nunatak.main")


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


class Node:
    """The guard of a block that the test has started itself, with its worker."""

    def __init__(self, block: str, process: "subprocess.Popen[str]", log: Path) -> None:
        self.block = block
        self.process = process
        self.log = log

    @property
    def guard(self) -> int:
        return self.process.pid

    @property
    def worker(self) -> int | None:
        """The worker's pid; None between two workers."""
        # The guard's other children have its own command line, which names the worker's.
        return next((pid for pid in children(self.guard) if " -m tasks.worker {" in cmdline(pid)), None)

    def kill_guard(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def kill_worker(self) -> int:
        pid = servers.wait_until(lambda: self.worker, 20, "a worker to kill")
        os.kill(pid, signal.SIGKILL)
        return int(pid)

    def leave(self) -> int:
        """SIGTERM, as at the end of a block; the guard's exit code."""
        self.process.terminate()
        return self.process.wait(40)

    def words(self) -> str:
        """The node's log."""
        return self.log.read_text()


class Machine:
    """A home and a directory of jobfiles, and the program as processes of its own."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home = home
        self.root = folder
        self.folder = folder / "jobfiles"
        self.folder.mkdir()
        self.logs = folder / "logs"
        self.log = RunLog(folder)
        self.environ = {**os.environ, "NUNATAK_HOME": str(home.root), "NUNATAK_WORKER_LOG_DIR": str(self.logs), "COLUMNS": "80",
                        "NUNATAK_WORKER_KEEP_LOGS": "true"}  # fmt: skip
        self._nodes: list[Node] = []
        self._children: list[subprocess.Popen[str]] = []
        self._client: Any = None

    def quicken(self, **settings: str) -> None:
        """Leases of seconds; `WORKER_IDLE_S="1"` and the like set others."""
        quick = {f"LEASE_{name}": value for name, value in QUICK_LEASE.items()}
        self.environ |= {f"NUNATAK_{name}": value for name, value in {**quick, **settings}.items()}

    # -- jobfiles -------------------------------------------------------------------------------------------------------------------

    def write(self, name: str, text: str) -> Path:
        path = self.folder / f"qsub_{name}.sh"
        path.write_text(f"#!/bin/bash\n{text}\n")
        return path

    def write_ticking(self, name: str, seconds: float, *, header: str = "", before: str = "", after: str = "") -> Path:
        """A jobfile that leaves signs of life in `self.log`."""
        return self.write(name, "\n".join(part for part in (header, self.log.text(name, seconds, before, after)) if part))

    def out(self, name: str) -> Path:
        return self.folder / f"qsub_{name}.sh.out"

    def is_running(self, name: str) -> bool:
        return self.out(name).exists()

    # -- the program ----------------------------------------------------------------------------------------------------------------

    def popen(self, *words: str, program: Sequence[str] = PROGRAM, **options: Any) -> "subprocess.Popen[str]":
        child = subprocess.Popen(
            [*program, *words], env=self.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            # A session of its own, as a terminal has: signals go where the test sends them.
            start_new_session=True, **options,
        )  # fmt: skip
        self._children.append(child)
        return child

    def start(self, *words: str, **options: Any) -> "subprocess.Popen[str]":
        """`nunatak run` on the jobfiles, in the background."""
        slots = () if "--slots" in words else ("--slots", "2")
        return self.popen("run", str(self.folder), *slots, *words, **options)

    def run(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """`nunatak run` on the jobfiles, to its end."""
        child = self.start(*words, **options)
        out, err = child.communicate(timeout=60)
        return subprocess.CompletedProcess(child.args, child.returncode, out, err)

    def call(self, *words: str) -> Said:
        """Any other command, to its end."""
        child = self.popen(*words)
        out, err = child.communicate(timeout=60)
        return Said(code=child.returncode, out=out, err=err)

    def enqueue(self, *words: str) -> Said:
        said = self.call("enqueue", str(self.folder), *words)
        assert said.code == 0, said
        return said

    def start_node(self, block: str, *, slots: int = 2) -> Node:
        """A block of one node for all campaigns, without a launcher: its guard is the test's own child. The broker must run."""
        write_block_file(self.home, BlockFile(block=block, site="local", slots=slots, campaigns=(), deadline_unix=None))
        log = self.logs / f"{block}-{os.uname().nodename}.log"
        node = Node(block, self.popen("worker", "--block", block), log)
        self._nodes.append(node)
        return node

    def wait_for(self, child: "subprocess.Popen[str]", words: str) -> None:
        """Read what it says until these words; one that does not say them in time is killed."""
        assert child.stderr is not None
        timer = threading.Timer(20, child.kill)
        timer.start()
        said = ""
        while words not in said:
            line = child.stderr.readline()
            assert line, f"waited for {words!r}, and it said: {said}"
            said += line
        timer.cancel()

    # -- what became of it ----------------------------------------------------------------------------------------------------------

    def ledger(self) -> Ledger:
        """Read by the test itself, over a connection that is made anew when the broker was."""
        if self._client is not None:
            self._client.close()
        self._client = open_client(self.home)
        return Ledger(self._client)

    def jobs(self) -> dict[str, Job]:
        return {job.name.removeprefix("qsub_").removesuffix(".sh"): job for job in self.ledger().jobs()}

    def states(self) -> dict[str, State]:
        return {name: job.state for name, job in self.jobs().items()}

    def jobs_of_a_stopped_broker(self) -> dict[str, Job]:
        """`jobs`, after `nunatak run` has taken its broker away with it."""
        assert self.call("broker", "start").code == 0
        return self.jobs()

    def wait_ended(self, timeout_s: float = 40.0) -> dict[str, Job]:
        """All jobfiles, once none waits or runs; a broker that is away is waited for."""

        def ended() -> Any:
            try:
                jobs = self.jobs()
            except Unreachable:
                return None
            return jobs if not {job.state for job in jobs.values()} & {State.QUEUED, State.RUNNING} else None

        jobs: dict[str, Job] = servers.wait_until(ended, timeout_s, f"all jobfiles to end; {self.log.path}, {self.logs}")
        return jobs

    def wait_running(self, *names: str) -> None:
        """Until the broker has heard that these run."""

        def run() -> bool:
            jobs = self.jobs()
            return all(jobs[n].state is State.RUNNING and jobs[n].latest.started_at for n in names)

        servers.wait_until(run, 30, f"{', '.join(names)} to run")

    def blocks(self) -> list[str]:
        return sorted(path.name for path in self.home.blocks_dir.iterdir() if path.is_dir())

    def processes(self) -> list[str]:
        """What of this home's blocks, or of its jobfiles, still runs."""
        return [f"{pid} {cmdline(pid)}" for pid in self.pids()]

    def pids(self) -> list[int]:
        """Of guards, workers, jobfiles and whatever these have started: all of them have the home in their environment."""
        ours = f"NUNATAK_HOME={self.home.root}".encode()
        # Parsl's shell around a block's script ends a moment after it.
        others = (*_OTHERS, str(self.home.blocks_dir))
        found = []
        for pid in (int(entry.name) for entry in Path("/proc").glob("[0-9]*")):
            words = cmdline(pid)
            if words and ours in environ(pid) and not any(word in words for word in others):
                found.append(pid)
        return found

    def guard_lives(self) -> bool:
        """Whether the node that was started last has its guard."""
        return bool(self._nodes) and self._nodes[-1].process.poll() is None

    def kill_guards(self) -> None:
        """Of blocks that `nunatak run` has started."""
        for pid in self.guards():
            os.kill(pid, signal.SIGKILL)

    def guards(self) -> list[int]:
        """Guards have children of their own command line; those are not meant."""
        guards = [pid for pid in self.pids() if " -m tasks.guard {" in cmdline(pid)]
        return [pid for pid in guards if parent(pid) not in guards]

    def assert_nothing_left(self) -> None:
        """The blocks leave, and nothing of them or of their jobfiles lives on."""
        for node in self._nodes:
            if node.process.poll() is None:
                assert node.leave() == 0, node.words()
        servers.wait_until(lambda: not self.processes(), 10, f"no process to be left; now {self.processes()}")

    def assert_all_done_and_none_twice_at_once(self, jobs: dict[str, Job]) -> None:
        """Nothing was lost, nothing ran twice at the same time, nothing is left."""
        assert {name: job.state for name, job in jobs.items()} == dict.fromkeys(jobs, State.DONE), {n: j.latest for n, j in jobs.items()}
        assert {run.name for run in self.log.runs() if run.ended} == set(jobs)
        assert self.log.twice_at_once() == []
        self.assert_nothing_left()

    def close(self) -> None:
        """The end, whatever state it is in."""
        for child in self._children:
            if child.poll() is None:
                # A command that lived on would make the home anew.
                child.kill()
                child.communicate()
        if self._client is not None:
            self._client.close()
        for pid in self.pids():
            kill(pid)


@contextmanager
def machine_in(folder: Path) -> Iterator[Machine]:
    """A machine with a home of its own; whatever it has started is gone afterwards."""
    with servers.temporary_home() as home:
        machine = Machine(home, folder)
        try:
            yield machine
        finally:
            machine.close()


def read_file(path: Path) -> Callable[[], str]:
    """For `wait_until`: the text of a file once it is there."""
    return lambda: path.read_text() if path.exists() else ""
