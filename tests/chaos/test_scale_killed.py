"""`nunatak blocks scale` is killed anywhere, on two hosts at once: by Slurm's own list there are never more blocks than allowed."""

import random
import re
import signal
import threading
import time
from contextlib import contextmanager

import pytest
from chaos.fake_slurm import FakeSlurm
from chaos.hasty import MISSING_S, call_hastily, start_hastily
from chaos.scale import FULL, SCALE
from chaos.signs import until
from chaos.slurm_world import slurm_world
from cluster.fixtures import new_cluster  # noqa: F401  # a fixture

CAP = 3
KILLS = 20
#: A step that submits a block takes about so long.
STEP_S = 3.0
HOSTS = ("login", "login2")
#: What Slurm counts as a user's job.
LIVING = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING")


class SlurmsList:
    """The user's jobs as Slurm has them, over or not."""

    def __init__(self, cluster):
        self._cluster = cluster

    def all(self):
        """Block -> (number, state)."""
        lines = [line.split() for line in self._cluster.squeue("-t", "all", "-o", "%j %i %T", host="login2")]
        assert len({name for name, *_ in lines}) == len(lines), f"a block was submitted twice: {lines}"
        return {name: (number, state) for name, number, state in lines}

    def living(self):
        return {name: number for name, (number, state) in self.all().items() if state in LIVING}


@contextmanager
def _counted(slurm):
    """The most jobs that lived at any moment, counted all the time."""
    most, stop, broken = [0], threading.Event(), []

    def count():
        try:
            while not stop.wait(0.2):
                most.append(len(slurm.living()))
        except AssertionError as error:
            broken.append(error)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield most
    finally:
        stop.set()
        thread.join()
    assert not broken, broken


def _assert_each_job_is_known(world, slurm):
    """Each of Slurm's jobs is a block of ours with its number, and each of our blocks that lives a job of Slurm's."""
    recorded = {block["block"]: block for block in world.blocks()}
    assert {name: number for name, (number, _) in slurm.all().items()}.items() <= {n: b["job_id"] for n, b in recorded.items()}.items()
    living = {name for name, block in recorded.items() if block["state"] not in ("ended", "failed", "cancelled")}
    assert set(slurm.living()) == living
    assert not {block["state"] for block in recorded.values()} & {"intended", "unknown"}


def _settle(world, slurm, wait_until, most):
    """Until what was never submitted has been given up, by steps of somebody who starts anew."""

    def settled():
        call_hastily(world, "blocks", "tick", host="login2")
        return not {block["state"] for block in world.blocks()} & {"intended", "unknown"}

    wait_until(settled, SCALE.limit_s(60 + 3 * MISSING_S), "all intents to be found or given up")
    assert len(slurm.living()) <= most


#: What sbatch does to its caller: nothing was submitted; it is submitted later; it was, and the caller has not heard it; the caller has.
SBATCH = (
    "kill -9 $PPID; exit 1",
    'kill -9 $PPID; sleep 1; exec $real "$@"',
    '$real "$@" > /dev/null; kill -9 $PPID; exit',
    '$real "$@"; kill -9 $PPID; exit',
)


@pytest.mark.slow
@pytest.mark.timeout(SCALE.limit_s(300))
def test_scale_killed_at_each_point_between_intent_and_number_leaves_a_block_that_the_next_step_counts_and_finds(new_cluster, wait_until):  # noqa: F811
    cluster = new_cluster()
    slurm = SlurmsList(cluster)
    with slurm_world(cluster) as world:
        fake, go = FakeSlurm(world), cluster.home / "go"
        names = world.write_many(40, 0.2, before=until(go))
        world.write_site(poll_every_s=0.05, submissions_per_hour=100)
        world.enqueue()

        def kill(most, **where):
            """`scale` is killed there, and a step of somebody else follows."""
            said = call_hastily(world, "blocks", "scale", "-f", "test", "--max", str(most), "--once", **where)
            if said.code == -signal.SIGKILL:
                fake.does("sbatch")
                assert call_hastily(world, "blocks", "tick", host="login2").code == 0
                assert len(slurm.living()) <= most
            return said

        points, most = [], 0
        for does in SBATCH:
            most += 1
            fake.does("sbatch", does)
            assert kill(most).code == -signal.SIGKILL
        # The lines before: what is asked of nobody.
        for line in range(4, 99):
            most += 1
            said = kill(most, kill_at=line)
            points += re.findall("killed before line ([0-9]+)", said.out)
            if said.code == 0:
                break
        assert len(points) >= 8, points
        _settle(world, slurm, wait_until, most)
        call_hastily(world, "blocks", "tick")
        _assert_each_job_is_known(world, slurm)
        assert len(slurm.living()) == most, "the places of what was never submitted are not used again"
        go.touch()
        world.wait_ended(names)
        world.assert_nothing_lost_and_none_twice(names)
        world.insist("blocks", "cancel", "all")
        world.assert_nothing_left()


def _make_room(cluster, slurm):
    """One block less; what was never submitted holds a place, too, for a while."""
    living = slurm.living()
    if len(living) >= CAP - 1:
        cluster.run("login", ["scancel", min(living.values(), key=int)])


@pytest.mark.slow
@pytest.mark.timeout(SCALE.limit_s(300))
def test_scale_killed_at_random_on_two_hosts_at_once_never_has_more_blocks_than_allowed_and_none_unknown(new_cluster, wait_until):  # noqa: F811
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    cluster = new_cluster(settings={"KillWait": "2"})
    slurm = SlurmsList(cluster)
    with slurm_world(cluster) as world:
        go = cluster.home / "go"
        # Those that wait for a word come later, and then there is always more to do.
        late = [f"late{number:02d}" for number in range(16)]
        for name in late:
            world.write(name, 0.2, before=until(go))
        names = [*world.write_many(50 * (5 if FULL else 1), 1.5), *late]
        world.write_site(poll_every_s=0.05, submissions_per_hour=1000)
        world.enqueue()
        world.insist("blocks", "scale", "-f", "test", "--max", str(CAP), "--once")
        with _counted(slurm) as counts:
            for number in range(KILLS):
                _make_room(cluster, slurm)
                began = time.monotonic()
                loops = [start_hastily(world, "blocks", "scale", "-f", "test", "--max", str(CAP), host=h) for h in HOSTS[: 1 + number % 2]]
                for loop, end in sorted(((loop, chance.uniform(0.5, STEP_S)) for loop in loops), key=lambda pair: pair[1]):
                    wait_until(lambda end=end, began=began: time.monotonic() > began + end, 60, "the moment to kill it")
                    loop.kill()
                    loop.wait()
            _settle(world, slurm, wait_until, CAP)
            loop = start_hastily(world, "blocks", "scale", "-f", "test", "--max", str(CAP))
            go.touch()
            world.wait_ended(names)
        print(f"most at once {max(counts)} in {len(counts)} counts, submitted {len(slurm.all())}, recorded {len(world.blocks())}")
        assert max(counts) <= CAP
        assert len(slurm.all()) >= KILLS // 4, "hardly anything was submitted"
        _assert_each_job_is_known(world, slurm)
        world.assert_nothing_lost_and_none_twice(names, once_more=set(names))
        loop.kill()
        world.insist("blocks", "cancel", "all")
        world.assert_nothing_left()
