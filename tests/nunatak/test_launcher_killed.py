"""`nunatak blocks scale` killed with SIGKILL, at every point of a submission and at random: no cap is exceeded, no block is orphaned."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from fake_scheduler import FakeScheduler, forget_everything
from filled_queue import Queue

from launcher.block import Block, BlockState
from nunatak.settings import Settings

CAP = 4
SITE = """
provider = "slurm"
walltime = "24:00:00"
max_workers = 1
poll_every_s = 0.05
submissions_per_hour = 100
"""
#: The program, on a broker for this machine only; its first argument is executed before.
PROGRAM = """
import os, signal, sys
import launcher.blocks, nunatak.cli.blocks
from broker.ledger import Ledger

def die(*_args, **_more): os.kill(os.getpid(), signal.SIGKILL)

nunatak.cli.blocks.for_nodes = lambda settings: settings
exec(sys.argv.pop(1))
import nunatak.main; nunatak.main.main()
"""
#: Where it is killed -> what makes it so.
POINTS = {
    "before the intent": "Ledger.intend = die",
    "after the intent": "intend = Ledger.intend; Ledger.intend = lambda *a, **k: (intend(*a, **k), die())",
    "before sbatch": "from launcher.slurm_block import SlurmBlocks; SlurmBlocks.submit = die",
    "after sbatch": "from launcher.slurm_block import SlurmBlocks as S; submit = S.submit; S.submit = lambda *a: (submit(*a), die())",
    "after the job id": "record = Ledger.record_block; Ledger.record_block = lambda *a: (record(*a), die())",
}


@pytest.fixture(autouse=True)
def backlog(settings: Settings, queue: Queue) -> Iterator[None]:
    """A hundred jobfiles, and a site on which each takes a block of its own."""
    (settings.home.root / "sites").mkdir(exist_ok=True)
    (settings.home.root / "sites" / "here.toml").write_text(SITE)
    queue.add("c-2m", *(f"{number}.sh" for number in range(100)))
    yield
    forget_everything(queue.broker)


def scale(settings: Settings, *words: str, before: str = "") -> "subprocess.Popen[str]":
    argv = [sys.executable, "-I", "-c", PROGRAM, before, "blocks", "scale", "-f", "here", "--max", str(CAP), "--yes", *words]
    environ = {**os.environ, "NUNATAK_HOME": str(settings.home.root)}
    return subprocess.Popen(argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def recorded(queue: Queue) -> dict[str, Block]:
    return {b.block: Block.from_fields(b.block, b.fields) for b in queue.broker.ledger.blocks()}


def names(scheduler: FakeScheduler) -> list[str]:
    """The blocks that sbatch has taken."""
    return [scheduler.block_of(job_id) for job_id in scheduler.ids]


def check(scheduler: FakeScheduler, queue: Queue) -> None:
    """Every job is a block that the ledger knows, once, by its number; and there are no more than were asked for."""
    blocks = recorded(queue)
    assert len(names(scheduler)) == len(set(names(scheduler))) <= CAP
    assert {name: blocks[name].job_id for name in names(scheduler)} == {scheduler.block_of(i): i for i in scheduler.ids}
    assert len([b for b in blocks.values() if not b.state.is_over]) <= CAP


@pytest.mark.parametrize("point", POINTS)
def test_a_launcher_that_is_killed_at_this_point_leaves_nothing_lost_and_nothing_twice(point, settings, scheduler, queue):
    killed = scale(settings, "--once", before=POINTS[point])
    out, _ = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL, out
    lost = [b for b in recorded(queue).values() if b.state is BlockState.INTENDED and b.block_id not in names(scheduler)]
    for _ in range(3):
        time.sleep(0.1)
        done = scale(settings, "--once")
        out, _ = done.communicate(timeout=60)
        assert done.returncode == 0, out
    check(scheduler, queue)
    # An intent that may yet be carried out counts as a block until healthy answers have lacked it for ten minutes.
    assert len(scheduler.ids) == CAP - len(lost)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_twenty_launchers_two_at_a_time_that_are_killed_at_random(settings, scheduler, queue):
    seed = int(os.environ.get("NUNATAK_SOAK_SEED", time.time_ns() % 100_000))
    print(f"NUNATAK_SOAK_SEED={seed}")
    chance = random.Random(seed)
    for _ in range(10):
        two = [scale(settings), scale(settings)]
        for one in two:
            time.sleep(chance.uniform(0.3, 2.0))
            one.kill()
            one.communicate()
            # One that waits ends sometimes, so that there is more to submit.
            if scheduler.ids and chance.random() < 0.5:
                scheduler.tell(chance.choice(scheduler.ids), "CANCELLED", ended=True)
        running = [i for i in scheduler.ids if (scheduler.jobs / i).read_text().startswith("PENDING")]
        assert len(running) <= CAP
    done = scale(settings, "--once")
    assert done.wait(60) == 0
    taken = names(scheduler)
    assert len(taken) == len(set(taken))
    assert all(recorded(queue)[name].job_id for name in taken)
