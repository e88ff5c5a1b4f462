"""A machine per test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from whole.machine import Machine, machine_in


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with machine_in(tmp_path) as made:
        yield made
