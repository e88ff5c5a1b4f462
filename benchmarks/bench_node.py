"""What guard and worker cost an idle node, and how soon a dead worker is replaced: python -I benchmarks/bench_node.py [SECONDS].

The bare worker of Celery beside ours says how much of the memory is Celery's own.
"""

import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from node import Node, idle_share, memory_mb, node
from rig import Rig, rig, seconds, wait_until

from broker.client import open_client
from broker.home import Home
from broker.ledger import Ledger

DEATHS = 3
IMPORTS = "import celery.apps.worker, kombu.transport.redis, redis, sys; print(flush=True); sys.stdin.read()"


def bare_celery_mb() -> dict[str, float]:
    """Memory of a Python that has imported what a Celery worker on Redis imports, and nothing else."""
    command = [sys.executable, "-I", "-c", IMPORTS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        return memory_mb(process.pid)


def succession_s(place: Node) -> float:
    """From SIGKILL of the worker to its successor's first renewal."""
    pid = place.worker()
    assert pid is not None
    begin = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: place.worker() != pid, 60, "the next worker's first renewal")
    return time.perf_counter() - begin


def succession(place: Rig, ledger: Ledger) -> None:
    """Deaths on fresh nodes: after a second death in a row the guard waits before it starts another worker."""
    took, bare = [], []
    for _ in range(DEATHS):
        with node(place, ledger, 2) as made:
            # Past its start, which is not what is measured.
            time.sleep(1.5)
            took.append(succession_s(made))
        bare.append(seconds(bare_celery_mb))
    median, start = statistics.median(took), statistics.median(bare)
    print(f"a worker's death to its successor's first renewal: median {median:.2f} s ({', '.join(f'{t:.2f}' for t in took)})")
    print(f"  as a multiple of the imports of a Celery worker alone ({start:.2f} s): {median / start:.2f}")


def footprint(place: Rig, ledger: Ledger, slots: int, idle_s: float) -> None:
    with node(place, ledger, slots) as made:
        pids = made.processes()
        # Idle is what comes after its start.
        time.sleep(2.0)
        shares = idle_share(pids, idle_s) if idle_s else {}
        for name, pid in pids.items():
            mb = memory_mb(pid)
            idle = f", idle {100 * shares[name]:.3f} % of a core over {idle_s:g} s" if name in shares else ""
            print(f"{slots} slots, {name}: PSS {mb['Pss']:.1f} MB, RSS {mb['Rss']:.1f} MB{idle}", flush=True)


def main(idle_s: float) -> None:
    with rig() as place:
        place.call("broker", "start")
        client = open_client(Home(place.home))
        ledger = Ledger(client)
        footprint(place, ledger, 2, idle_s)
        footprint(place, ledger, 16, 0.0)
        mb = bare_celery_mb()
        print(f"imports of a Celery worker on Redis alone: PSS {mb['Pss']:.1f} MB, RSS {mb['Rss']:.1f} MB")
        succession(place, ledger)
        client.close()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0)
