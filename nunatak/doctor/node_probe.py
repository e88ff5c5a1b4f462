"""What the test job runs on a node: looks, writes its report into the job's folder, ends.

    python -I -m nunatak.doctor.node_probe JOB_FOLDER HOME FOLDER…
"""

import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from broker.address import Address, read_address, this_host
from broker.client import answering
from broker.errors import BrokerError
from broker.home import Home
from broker.scripts import translated
from nunatak.doctor.node_report import NodeReport


def look(home: Home, folders: list[str]) -> NodeReport:
    """This node, and the broker as it is reached from here."""
    endpoint, trouble, round_trip_s, ahead_s = "", "", 0.0, None
    try:
        address = read_address(home)
        if address is None or address.is_stopped:
            trouble = f"no broker runs, says {home.address_file}"
        else:
            endpoint, round_trip_s, ahead_s = _ask(home, address)
    except BrokerError as error:
        trouble = str(error)
    return NodeReport(
        node=this_host(), python=platform.python_version(), cpus=len(os.sched_getaffinity(0)),
        seen={folder: Path(folder).exists() for folder in folders}, endpoint=endpoint, trouble=trouble,
        round_trip_s=round_trip_s, ahead_s=ahead_s,
    )


def _ask(home: Home, address: Address) -> tuple[str, float, float]:
    """Where it answered, how long one question took, and how far our clock is ahead of its."""
    found, client = answering(home, address, 10.0)
    asked: Any = client
    try:
        with translated():
            before = time.time()
            seconds, micros = asked.time()
            after = time.time()
    finally:
        client.close()
    return str(found), after - before, (before + after) / 2 - (int(seconds) + int(micros) / 1e6)


def main(arguments: list[str]) -> int:
    folder, home, *folders = arguments
    look(Home(Path(home)), folders).write(Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
