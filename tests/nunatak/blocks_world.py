"""A home whose scheduler is a fake one, for the tests of `nunatak blocks`: fixtures, and a site `here` that may be asked at any time."""

import json
from collections.abc import Iterator

import pytest
from fake_scheduler import forget_everything
from filled_queue import Command, Queue

from nunatak.settings import Settings

SITE = """
provider = "slurm"
partition = "main"
walltime = "24:00:00"
nodes_per_block = 4
max_workers = 2
poll_every_s = {poll}
least_charged_min = 15
max_submitted = 10
cmd_timeout_s = 20
"""


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a test is open to other hosts."""
    monkeypatch.setattr("nunatak.cli.blocks.for_nodes", lambda settings: settings)


@pytest.fixture(autouse=True)
def clean_home(settings: Settings, queue: Queue) -> Iterator[None]:
    """No blocks, wishes, campaigns of an earlier test; a site `here`, whose scheduler may always be asked."""
    (settings.home.root / "sites").mkdir(exist_ok=True)
    write_site(settings)
    yield
    forget_everything(queue.broker)


def write_site(settings: Settings, name: str = "here", poll: float = 0.001, **keys: str) -> None:
    text = SITE.format(poll=poll) + "".join(f"{key} = {value}\n" for key, value in keys.items())
    (settings.home.root / "sites" / f"{name}.toml").write_text(text)


def listed(nunatak: Command, *words: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in nunatak("blocks", "list", "--json", *words).out.splitlines()]
