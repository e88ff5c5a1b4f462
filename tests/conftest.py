"""Fixtures that every test may use."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import servers

from broker.home import Home


@pytest.fixture
def home() -> Iterator[Home]:
    """A broker's home with a password and nothing running; whatever is started in it is killed."""
    with servers.temporary_home() as made:
        yield made


@pytest.fixture
def server(home: Home) -> Iterator[servers.Server]:
    """A real server without a supervisor; `home`'s address file points to it."""
    made = servers.Server(home)
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    """`wait_until(predicate, timeout_s, what)`: no sleeping for luck; the failure prints the last value seen."""
    return servers.wait_until
