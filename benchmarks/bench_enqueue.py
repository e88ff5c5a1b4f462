"""Enqueueing many jobfiles, and what each costs the server's memory: python -I benchmarks/bench_enqueue.py [COUNT].

The scripts alone; then `enqueue-jobfiles` on as many files, which are all read; then the same with a done rule, which looks for each one's
output. Ratios are to the scripts alone. Run twice, the command enqueues nothing: that is measured too.
"""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from filling import fill
from rig import TRIVIAL, rig, seconds

from broker.client import open_client
from broker.home import Home
from broker.scripts import Scripts


def used_bytes(scripts: Scripts) -> int:
    return int(scripts.client.info("memory")["used_memory"])


def main(count: int) -> None:
    with rig() as place:
        place.call("broker", "start")
        client = open_client(Home(place.home))
        scripts = Scripts(client)
        fill(scripts, "warm", 1000)
        before = used_bytes(scripts)
        alone = seconds(lambda: fill(scripts, "alone", count, "/scratch/region_03_conus/jobfiles/50cm"))
        each = (used_bytes(scripts) - before) / count
        print(f"{count:,} jobfiles by the scripts alone: {alone:.1f} s; {each:.0f} bytes of the server's memory each", flush=True)
        place.call("broker", "stop", "--force")
        folder = place.jobfiles("jobfiles", count, TRIVIAL)
        runs = {
            "enqueue-jobfiles, every file read": ("--done", "exit-code", "--campaign", "plain"),
            "the same again, nothing to do": ("--done", "exit-code", "--campaign", "plain"),
            "the same with a done rule, dry run": ("--done", "{parent}/{stem}.fin", "--campaign", "plain", "--dry-run"),
        }
        for what, words in runs.items():
            took = seconds(partial(place.call, "enqueue", str(folder), *words))
            print(f"{what}: {took:.1f} s, {took / alone:.1f} times the scripts alone", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
