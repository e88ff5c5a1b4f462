"""Clusters for tests: `from cluster.fixtures import cluster, new_cluster, shared_cluster` in a conftest.py.

The first two give every test a cluster of its own, which is up in a second; the third shares one between tests that break nothing.
"""

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import servers
from cluster import lifecycle
from cluster.requirements import absent
from cluster.slurm_cluster import Cluster
from cluster.slurm_conf import Shape

_NUMBERS = itertools.count(1)


def base() -> Path:
    """Where the clusters of tests have their folders."""
    return Path(tempfile.gettempdir()) / f"nunatak-clusters-{os.getuid()}"


def sweep() -> None:
    """Take away what test processes that were killed have left."""
    lifecycle.sweep(base())
    lifecycle.remove_empty(base())


def make_cluster(shape: Shape) -> Cluster:
    """One that is up; leftovers of test processes that were killed are taken away before."""
    if missing := absent():
        servers.missing(missing)
    sweep()
    cluster = Cluster(base() / f"{os.getpid()}-{next(_NUMBERS)}", shape)
    cluster.up()
    return cluster


def end_cluster(cluster: Cluster) -> None:
    cluster.down()
    lifecycle.remove_empty(base())


@pytest.fixture
def new_cluster() -> Iterator[Callable[..., Cluster]]:
    """`new_cluster(nodes=2, cpus=2, partitions={"skx-normal": ""}, settings={"KillWait": "2"})`: see `Shape`."""
    made: list[Cluster] = []

    def make(**shape: object) -> Cluster:
        made.append(make_cluster(Shape(**shape)))  # type: ignore[arg-type]
        return made[-1]

    try:
        yield make
    finally:
        for cluster in made:
            end_cluster(cluster)


@pytest.fixture
def cluster(new_cluster: Callable[..., Cluster]) -> Cluster:
    """Four nodes that are idle, for this test alone."""
    return new_cluster()


@pytest.fixture(scope="session")
def session_cluster() -> Iterator[Cluster]:
    cluster = make_cluster(Shape())
    try:
        yield cluster
    finally:
        end_cluster(cluster)


@pytest.fixture
def shared_cluster(session_cluster: Cluster) -> Cluster:
    """Four idle nodes, an empty home, nothing of the user's running; the cluster itself is that of the test before."""
    session_cluster.renew()
    return session_cluster
