"""Processor time of a trivial jobfile's way, by process: python -I benchmarks/bench_cpu.py [COUNT [ROUNDS]].

Rates say little on a machine that others use too; processor time bears company. One node with two slots that is up before; beside it,
in turns, what the same scripts cost `xargs -P2`, which is the least that any way of running them can.
"""

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from node import Node, cpu_s, node
from rig import TRIVIAL, Rig, rig, wait_until

from broker.client import open_client
from broker.home import Home
from broker.ledger import Ledger
from broker.records import ENDED

JOBFILES = "jobfiles and their starters"
SUM = "all of ours"
XARGS = "xargs -P2"


def stat(pid: int) -> list[int]:
    """The numbers of /proc/PID/stat from the parent's pid on (proc(5), field 4)."""
    return [int(word) for word in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1:]]


def reaped_s(pid: int) -> float:
    """Processor time of the children that it has waited for."""
    fields = stat(pid)
    return (fields[12] + fields[13]) / os.sysconf("SC_CLK_TCK")


def processes(made: Node, server: int) -> dict[str, int]:
    return {**made.processes(), "server": server, "supervisor": stat(server)[0]}


def ended(ledger: Ledger, campaign: str) -> int:
    return sum(seen.counts[state] for seen in ledger.campaigns() if seen.name == campaign for state in ENDED)


def ours(place: Rig, made: Node, server: int, folder: Path) -> dict[str, float]:
    """Milliseconds per jobfile by process."""
    count = len(list(folder.iterdir()))
    pids = processes(made, server)

    def used() -> dict[str, float]:
        return {name: cpu_s(pid) for name, pid in pids.items()} | {JOBFILES: reaped_s(made.guard)}

    before = used()
    place.call("enqueue", str(folder), "--done", "exit-code", "--campaign", folder.name)
    wait_until(lambda: ended(made.ledger, folder.name) == count, 600, "the last jobfile's end", every_s=0.1)
    return {name: 1000 * (value - before[name]) / count for name, value in used().items()}


def xargs_ms(folder: Path) -> float:
    count = len(list(folder.iterdir()))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    line = "ls *.sh | xargs -P2 -n1 /bin/bash"
    subprocess.run(line, shell=True, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / count


def main(count: int, rounds: int) -> None:
    taken: dict[str, list[float]] = {}
    with rig() as place:
        place.call("broker", "start")
        client = open_client(Home(place.home))
        server = int(client.info("server")["process_id"])
        with node(place, Ledger(client), 2) as made:
            # Past its first jobfiles, which import what the others find.
            ours(place, made, server, place.jobfiles("warm", 20, TRIVIAL))
            for number in range(rounds):
                parts = ours(place, made, server, place.jobfiles(f"nunatak-{number}", count, TRIVIAL))
                parts |= {SUM: sum(parts.values()), XARGS: xargs_ms(place.jobfiles(f"xargs-{number}", count, TRIVIAL))}
                for name, value in parts.items():
                    taken.setdefault(name, []).append(value)
        client.close()
    medians = {name: statistics.median(values) for name, values in taken.items()}
    print(f"processor time of a trivial jobfile, ms, medians of {rounds} rounds of {count}; as a multiple of {XARGS}")
    for name, value in medians.items():
        print(f"{name:30s} {value:6.2f}   {value / medians[XARGS]:.2f}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
