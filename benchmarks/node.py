"""A block of one node for the benchmarks, started without a launcher: guard and worker as they are on a compute node."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rig import PROGRAM, Rig, wait_until

from broker.home import Home
from broker.ledger import Ledger
from nunatak.block_file import BlockFile, write_block_file

BLOCK = "bench"


@dataclass(frozen=True, kw_only=True)
class Node:
    """One guard, and the worker that the ledger has heard of."""

    guard: int
    ledger: Ledger

    def worker(self) -> int | None:
        """The pid of the worker whose renewal came last; None if there was none yet."""
        return next((seen.pid for seen in self.ledger.workers() if seen.block == BLOCK), None)

    def processes(self) -> dict[str, int]:
        """All of the node's, by name: the guard forks its spawner first, then its scribe, then workers."""
        worker = self.worker()
        assert worker is not None
        children = {int(word) for word in Path(f"/proc/{self.guard}/task/{self.guard}/children").read_text().split()}
        spawner, scribe = sorted(children - {worker})
        return {"guard": self.guard, "spawner": spawner, "scribe": scribe, "worker": worker}


@contextmanager
def node(place: Rig, ledger: Ledger, slots: int) -> Iterator[Node]:
    """Up when it is entered, gone when it is left."""
    write_block_file(Home(place.home), BlockFile(block=BLOCK, site="local", slots=slots))
    process = subprocess.Popen([*PROGRAM, "worker", "--block", BLOCK], env=place.environ, stdin=subprocess.DEVNULL)
    try:
        made = Node(guard=process.pid, ledger=ledger)
        wait_until(made.worker, 30, "the worker's first renewal")
        yield made
    finally:
        process.terminate()
        process.wait(40)


def cpu_s(pid: int) -> float:
    """Processor time of its threads so far (/proc/PID/stat would count in hundredths of a second)."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def memory_mb(pid: int) -> dict[str, float]:
    """PSS and RSS."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    found = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    return {name: found[name] for name in ("Pss", "Rss")}


def idle_share(pids: dict[str, int], seconds: float) -> dict[str, float]:
    """Share of one processor that each has used in the next `seconds`."""
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    time.sleep(seconds)
    return {name: (cpu_s(pid) - before[name]) / seconds for name, pid in pids.items()}
