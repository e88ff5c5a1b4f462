"""A real broker in a home of its own, filled by real verbs, and the commands as a user calls them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_scheduler import FakeScheduler
from filled_queue import Command, Queue, call

from broker.home import Home
from broker.start import ensure_broker, stop_broker
from nunatak.settings import Settings


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a home whose broker runs; tests of one file share it, each with campaigns of its own."""
    settings = Settings(home=Home(tmp_path_factory.mktemp("home") / "nunatak"))
    ensure_broker(settings.home, settings.server, settings.lease)
    yield settings
    stop_broker(settings.home, force=True)


@pytest.fixture
def queue(settings: Settings, tmp_path: Path) -> Iterator[Queue]:
    """The verbs; its jobfiles lie in `tmp_path`, which is the test's own."""
    queue = Queue(settings, tmp_path.resolve())
    yield queue
    queue.broker.client.close()


@pytest.fixture
def nunatak(settings: Settings) -> Command:
    """A command of the program, on the broker of `settings`."""
    return lambda *words: call(settings.home.root, *words)


@pytest.fixture
def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeScheduler:
    """Slurm's commands, first on PATH."""
    made = FakeScheduler(tmp_path)
    monkeypatch.setenv("PATH", f"{made.folder}:{os.environ['PATH']}")
    return made
