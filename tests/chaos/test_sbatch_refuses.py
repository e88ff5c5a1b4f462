"""Submissions that come to nothing: launchers wait longer and longer, then for a person, and say why in others' own words."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import servers
from chaos.slurm_world import SlurmWorld, slurm_world
from cluster.fixtures import new_cluster  # noqa: F401  # a fixture

#: What one waits after the first, second, third and each further failure.
MINUTES = (1, 15, 30, 60)
#: Lets time pass for launchers, which keep nothing but records: whatever these say has happened, happened so many seconds sooner.
PASS_TIME = """
import sys
from pathlib import Path
from broker.client import open_client
from broker.home import Home

client = open_client(Home(Path(sys.argv[1])))
for key in (*client.scan_iter("block:*"), *client.scan_iter("site:*")):
    for field, value in client.hgetall(key).items():
        if field.endswith(("_at", "_since")) and value:
            client.hset(key, field, repr(float(value) - float(sys.argv[2])))
"""
#: As a cluster with accounting says it.
LIMIT = """#!/bin/bash
echo "sbatch: error: AssocMaxSubmitJobLimit" >&2
echo "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)" >&2
exit 1
"""

REFUSAL = "Invalid account or account/partition combination specified"
WORDS = "module: command not found"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Wish:
    """A queue that a launcher is to follow, on a site with something wrong."""

    def __init__(self, world: SlurmWorld, **site: object) -> None:
        self.world = world
        self.names = world.write_many(2, 0.5)
        self.write_site(**site)
        world.enqueue()

    def write_site(self, **site: object) -> None:
        self.site = self.world.write_site(submissions_per_hour=100, **site)

    def scale(self, **more: object) -> str:
        """The wish, and a first step; what was said."""
        return self.world.insist("blocks", "scale", "-f", self.site, "--max", "1", "--yes", "--once", **more).err

    def tick(self) -> str:
        return self.world.insist("blocks", "tick").err

    def pass_time(self, minutes: float) -> None:
        argv = [sys.executable, "-I", "-c", PASS_TIME, self.world.home, f"{minutes * 60:g}"]
        self.world.cluster.run("login", argv, cwd="/", check=True)

    def after(self, minutes: float) -> str:
        """A step when so much time has passed; what was said."""
        self.pass_time(minutes)
        return self.tick()

    def blocks(self) -> list[dict[str, Any]]:
        """All that were ever meant, the last one last."""
        return self.world.insist("blocks", "list", "--all", "--json").lines

    def wait_died(self) -> str:
        """Until the last block has died, and a step has found it; what was said."""
        folder = self.world.home / "blocks" / self.blocks()[-1]["block"]
        servers.wait_until((folder / "ended").exists, 60, f"{folder.name} to end")
        return servers.wait_until(lambda: said if "died" in (said := self.tick()) else "", 30, "the death to be found")

    def assert_waits(self, minutes: float) -> None:
        """Nothing is submitted before this time is over."""
        before = len(self.blocks())
        self.after(minutes - 0.5)
        assert len(self.blocks()) == before
        self.pass_time(0.5)

    def finish(self) -> None:
        """The cause is gone, and somebody has said so: one block does it all."""
        before = len(self.blocks())
        assert "blocks are submitted again" in self.world.insist("blocks", "resume", self.site).err
        assert "submitted block" in self.tick()
        self.world.wait_ended(self.names, 60)
        assert len(self.blocks()) == before + 1
        self.world.assert_nothing_lost_and_none_twice(self.names)
        self.world.assert_nothing_left()


@pytest.fixture
def world(new_cluster) -> Iterator[SlurmWorld]:  # noqa: F811
    """On a cluster with a partition that refuses a wrong account."""
    cluster = new_cluster(nodes=1, partitions={"main": "", "paid": "AllowAccounts=physics"}, settings={"EnforcePartLimits": "ALL"})
    with slurm_world(cluster, worker={"idle_s": 4.0}) as made:
        yield made


def test_refused_submissions_are_tried_later_and_later_and_after_ten_somebody_must_look(world):
    wish = Wish(world, partition="paid", account="chemistry")
    assert REFUSAL in wish.scale()
    for minutes in MINUTES[:3]:
        wish.assert_waits(minutes)
        assert REFUSAL in wish.tick()
    for _ in range(6):
        assert REFUSAL in wish.after(MINUTES[-1])
    assert "10 submissions in a row failed" in wish.after(MINUTES[-1])
    assert wish.after(24 * 60) == ""
    assert [(block["state"], block["job_id"], REFUSAL in block["reason"]) for block in wish.blocks()] == [("failed", None, True)] * 10
    status = world.insist("status").out
    assert f"nunatak blocks resume {wish.site}" in status
    assert REFUSAL in status
    assert world.slurm_jobs() == []

    wish.write_site(partition="main")
    wish.finish()


def test_a_limit_that_is_reached_is_said_and_tried_again_later(world):
    fake = world.make_folder(world.cluster.home / "bin")
    world.write_file(fake / "sbatch", LIMIT).chmod(0o755)
    wish = Wish(world)
    assert "(job submit limit, user's size and/or time limits)" in wish.scale(env={"PATH": f"{fake}:/usr/bin:/bin"})
    assert "job submit limit" in world.insist("status").out
    wish.assert_waits(MINUTES[0])
    assert "submitted block" in wish.tick()
    world.wait_ended(wish.names, 60)
    world.assert_nothing_left()
    assert "job submit limit" not in world.insist("status").out


def test_a_block_that_dies_at_once_is_tried_three_times_and_its_own_words_say_why(world):
    wish = Wish(world, worker_init="set -e\nmodule load no-such-compiler")
    wish.scale()
    for minutes in MINUTES[:2]:
        assert WORDS in wish.wait_died()
        wish.assert_waits(minutes)
        assert "submitted block" in wish.tick()
    assert "3 blocks in a row died young" in wish.wait_died()
    assert wish.after(24 * 60) == ""
    assert [(block["state"], WORDS in block["reason"]) for block in wish.blocks()] == [("failed", True)] * 3
    status = world.insist("status").out
    assert f"nunatak blocks resume {wish.site}" in status
    assert WORDS in status

    wish.write_site()
    wish.finish()
