"""The hosts' groups in the freezer of cgroup v1: stopping all processes of a host at once, and removing the groups.

The hierarchy is the whole machine's, so what is made in it stays when the namespaces are gone. It is reached by a mount that only a
process of its own sees.

    python -S -P -m cluster.freezer GROUP      removes a group and all below it
"""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from cluster import namespaces
from cluster.boot import HOST_FREEZER
from cluster.program import ENVIRONMENT, program

_HERE = Path("/run")


def group_of(folder: Path) -> str:
    """The group of all hosts of the cluster in this folder."""
    return "nunatak-" + hashlib.blake2b(os.fsencode(folder), digest_size=6).hexdigest()


def set_state(init: int, state: str, timeout_s: float = 10.0) -> None:
    """FROZEN or THAWED, for the host with this first process; waits until it is so."""
    file = Path(f"/proc/{init}/root{HOST_FREEZER}/freezer.state")
    end = time.monotonic() + timeout_s
    while file.read_text().strip() != state:
        # Written again and again, as the kernel's documentation says: a process that is just being forked is missed by the first.
        file.write_text(state)
        if time.monotonic() > end:
            raise TimeoutError(f"{file} has not become {state} in {timeout_s:g} s")


def remove(folder: Path, host: str = "") -> None:
    """Remove the groups of the cluster in this folder, or of one host; nothing if there is no freezer."""
    subprocess.run(program("cluster.freezer", f"{group_of(folder)}/{host}"), env=ENVIRONMENT, check=True, timeout=60)


def _remove(top: Path) -> None:
    for folder, _names, _files in os.walk(top):
        # A frozen process does not die before it is thawed.
        with contextlib.suppress(OSError):
            Path(folder, "freezer.state").write_text("THAWED")
    end = time.monotonic() + 20
    while top.exists():
        for folder, _names, _files in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
        if time.monotonic() > end:
            raise SystemExit(f"could not remove the freezer's group {top.name}: processes {_processes(top)} are in it")
        time.sleep(0.005)


def _processes(top: Path) -> list[str]:
    return [word for file in top.rglob("cgroup.procs") for word in file.read_text().split()]


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    namespaces.unshare("mnt")
    namespaces.mount("none", "/", None, namespaces.REC | namespaces.PRIVATE)
    try:
        namespaces.mount("cgroup", _HERE, "cgroup", 0, "freezer")
    except OSError:
        return
    _remove(_HERE / sys.argv[1])


if __name__ == "__main__":
    main()
