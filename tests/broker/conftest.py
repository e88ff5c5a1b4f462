"""Fixtures of the lease verbs' and the supervisor's tests."""

from collections.abc import Iterator

import pytest
from lease_server import LeaseServer, lease_server
from supervisor_scene import Scene
from verb_bench import Bench

from broker.home import Home


@pytest.fixture(scope="session")
def shared_lease_server() -> Iterator[LeaseServer]:
    """One server for all of them; each empties it first."""
    with lease_server() as started:
        yield started


@pytest.fixture
def bench(shared_lease_server: LeaseServer) -> Bench:
    """A clock and short forms of the verbs, on an empty server."""
    return Bench(shared_lease_server)


@pytest.fixture
def scene(home: Home) -> Iterator[Scene]:
    """A supervisor with a real server of its own."""
    made = Scene(home)
    yield made
    made.minder.lost_contact()
