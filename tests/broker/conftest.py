"""Fixtures of the lease verbs' tests."""

from collections.abc import Iterator

import pytest
from lease_server import LeaseServer, lease_server
from verb_bench import Bench


@pytest.fixture(scope="session")
def shared_lease_server() -> Iterator[LeaseServer]:
    """One server for all of them; each empties it first."""
    with lease_server() as started:
        yield started


@pytest.fixture
def bench(shared_lease_server: LeaseServer) -> Bench:
    """A clock and short forms of the verbs, on an empty server."""
    return Bench(shared_lease_server)
