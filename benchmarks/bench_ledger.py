"""What the length of the queue costs `status`, `jobs` and a claim: python -I benchmarks/bench_ledger.py [COUNT].

Two brokers, one with a short queue and one with COUNT jobfiles, are measured in turns, beside a command's bare start (`nunatak --help`).
"""

import json
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from filling import fill
from rig import Rig, rig, seconds

from broker.client import open_client
from broker.home import Home
from broker.lease import Holder, Leases, Outcome, Room, new_token
from broker.scripts import Scripts

SHORT = 1000
ROUNDS = 3
CLAIMS = 100
HOLDER = Holder(worker="bench.node", node="node", block="bench")
ROOM = Room(free_share=1.0, slot_share=0.5)


def claims_per_s(leases: Leases) -> tuple[float, float]:
    """Claims alone, and claims with their settles, per second over one connection, one after the other."""
    begin = time.perf_counter()
    claims = [leases.claim(new_token(), HOLDER, ROOM) for _ in range(CLAIMS)]
    claimed = time.perf_counter()
    for claim in claims:
        assert claim is not None
        assert leases.settle(claim.job_id, claim.token, Outcome(verdict="done", reason="exit code 0", exit_code=0, elapsed_s=0.0)).accepted
    settled = time.perf_counter()
    return CLAIMS / (claimed - begin), CLAIMS / (settled - begin)


@contextmanager
def queue(count: int) -> Iterator[tuple[Rig, Leases]]:
    """A broker with so many waiting jobfiles."""
    with rig() as place:
        place.call("broker", "start")
        client = open_client(Home(place.home))
        leases = Leases(Scripts(client))
        fill(leases.scripts, "filled", count)
        yield place, leases
        assert json.loads(place.call("status", "--json"))["total"] == count
        client.close()


def measure(place: Rig, leases: Leases, rounds: dict[str, list[float]]) -> None:
    claims, ends = claims_per_s(leases)
    values = {
        "bare start, s": seconds(lambda: place.call("--help")),
        "status, s": seconds(lambda: place.call("status", "--json")),
        "jobs, s": seconds(lambda: place.call("jobs", "--json")),
        "claims, /s": claims,
        "claims with settle, /s": ends,
    }
    for name, value in values.items():
        rounds.setdefault(name, []).append(value)


def main(count: int) -> None:
    with queue(SHORT) as short, queue(count) as long:
        rounds: tuple[dict[str, list[float]], dict[str, list[float]]] = ({}, {})
        for _ in range(ROUNDS):
            for filled, measured in zip((short, long), rounds, strict=True):
                measure(*filled, measured)
        print(f"medians of {ROUNDS} rounds in turns; {SHORT:,} jobfiles, {count:,} jobfiles, ratio")
        for name in rounds[0]:
            few, many = (statistics.median(measured[name]) for measured in rounds)
            print(f"{name:24s} {few:9.2f} {many:9.2f}   {many / few:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
