"""The broker's processes on a host of a cluster."""

import os
import signal

import servers
from cluster.slurm_cluster import Cluster

_WORDS = {"server.conf": "server", "broker.supervisor": "supervisor"}


def brokers_on(cluster: Cluster, host: str) -> list[str]:
    """What of the broker lives there."""
    return sorted(_found(cluster, host).values())


def kill_broker(cluster: Cluster, host: str) -> None:
    """Server and supervisor at once, without a word to anybody."""
    found = _found(cluster, host)
    assert sorted(found.values()) == ["server", "supervisor"], found
    # Whoever is left for a moment must not start the other one again.
    for pid in sorted(found, key=lambda pid: found[pid] != "supervisor"):
        os.kill(pid, signal.SIGKILL)
    servers.wait_until(lambda: not _found(cluster, host), 10, "the killed to be gone")


def _found(cluster: Cluster, host: str) -> dict[int, str]:
    """By their numbers."""
    living = [process for process in cluster.pids_on(host) if process.state != "Z"]
    return {p.pid: name for p in living for word, name in _WORDS.items() if any(argument.endswith(word) for argument in p.argv)}
