"""Blocks on a real Slurm cluster with the sample jobfiles, as an ordinary user's commands: by hand, by `run -f`, and by `scale`."""

import os
import signal
import time

import pytest
from chaos.slurm_world import SlurmWorld, slurm_world
from cluster import user
from cluster.fixtures import cluster, new_cluster, session_cluster, shared_cluster  # noqa: F401  # fixtures
from cluster.slurm_cluster import PROGRAMS, Cluster
from servers import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
SITE = {"nodes_per_block": 2, "max_workers": 2, "max_submitted": 3, "idle_s": 6.0, "poll_every_s": 2.0}


@pytest.fixture
def world(shared_cluster: Cluster):  # noqa: F811  # a fixture
    with slurm_world(shared_cluster) as made:
        made.write_site("two", **SITE)
        yield made
        made.call("blocks", "cancel", "all")
        made.close()


def samples(world: SlurmWorld, name: str, count: int = 20) -> str:
    """A directory of sample jobfiles of a second each."""
    out = world.cluster.home / name
    argv = [PROGRAMS / "python", "-I", "-m", "nunatak.samples", out, "--count", str(count), "--seed", "7"]
    world.cluster.run("login", argv, check=True)
    return str(out / "region_03_conus" / "jobfiles" / "2m")


def ends(world: SlurmWorld, name: str) -> list[str]:
    """The scene pairs that came to their end, by the jobfiles' own log."""
    log = world.cluster.home / name / "runs.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [line.split()[4] for line in lines if line.split()[1] == "end"]


def processes(world: SlurmWorld) -> list[object]:
    return [process for host in world.cluster.nodes for process in world.cluster.pids_on(host, user=user.NAME)]


def test_two_blocks_of_two_nodes_run_twenty_jobfiles_and_end_by_themselves(world):
    world.insist("enqueue", samples(world, "data"))
    said = world.insist("blocks", "submit", "2", "-f", "two", "--yes")
    assert "2 blocks of 2 nodes" in said.err
    wait_until(lambda: len(set(ends(world, "data"))) == 20, 120, "all to end")
    wait_until(lambda: {b["state"] for b in world.blocks()} == {"ended"}, 120, "both blocks to end by themselves")
    assert len(ends(world, "data")) == 20
    assert all(b["su"] > 0 for b in world.blocks())
    wait_until(lambda: not processes(world), 30, "the nodes to be empty")
    # Nobody needs the broker any more.
    world.insist("broker", "stop")


def test_run_on_a_site_submits_what_it_needs_and_ends_with_the_last_jobfile(world):
    said = world.insist("run", "-s", samples(world, "data"), "-f", "two", "--yes", timeout=200)
    assert len(set(ends(world, "data"))) == len(ends(world, "data")) == 20
    assert "20 of 20 done" in said.err
    assert 1 <= len(world.blocks()) <= 3
    wait_until(lambda: not world.slurm_jobs(), 60, "blocks to end")


def test_ctrl_c_detaches_and_the_same_command_comes_back(world):
    folder = samples(world, "data", 30)
    run = world.start("run", "-s", folder, "-f", "two", "--yes")
    wait_until(lambda: world.slurm_jobs(), 60, "a block")
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 130, out
    assert "Blocks go on without this command" in out
    assert world.slurm_jobs()
    world.insist("run", "-s", folder, "-f", "two", "--yes", timeout=200)
    assert len(set(ends(world, "data"))) == len(ends(world, "data")) == 30


def test_scale_stops_submitting_while_the_controller_is_away_and_goes_on_after_it(world):
    """With a backlog that waits below the cap; before and afterwards it does submit."""
    world.write_site("one", **{**SITE, "nodes_per_block": 1, "max_workers": 1, "max_submitted": 4})
    world.insist("enqueue", samples(world, "data", 40))
    scale = world.start("blocks", "scale", "-f", "one", "--max", "2", "--yes")
    try:
        wait_until(lambda: len(world.slurm_jobs()) == 2, 60, "two blocks")
        world.cluster.daemon("stop", "slurmctld")
        # There is room for more now, and nobody can say what is there.
        raised = world.call("blocks", "scale", "-f", "one", "--max", "4", "--once", "--yes")
        assert raised.code == 0, raised
        wait_until(lambda: "nothing is submitted on one since" in " ".join(world.call("status").out.split()), 60, "the notice")
        time.sleep(5)
        assert len(world.blocks()) == 2
        world.cluster.daemon("start", "slurmctld")
        wait_until(lambda: len(world.blocks()) == 4, 90, "two more blocks")
        assert "nothing is submitted" not in world.call("status").out
    finally:
        scale.send_signal(signal.SIGINT)
        out, _ = scale.communicate(timeout=60)
    assert "blocks run on" in out
    wait_until(lambda: len(set(ends(world, "data"))) == 40, 180, "all to end")


def test_a_wrong_worker_init_is_shown_with_the_blocks_own_words_and_then_left_alone(world):
    world.write_site("wrong", **SITE, worker_init="module load nothing-of-this-name\nexit 3")
    world.insist("enqueue", samples(world, "data", 8))
    scale = world.start("blocks", "scale", "-f", "wrong", "--max", "1", "--yes")
    try:
        wait_until(lambda: [b["state"] for b in world.blocks()] == ["failed"], 60, "the block to die")
        wait_until(lambda: "nothing is submitted on wrong since" in " ".join(world.call("status").out.split()), 60, "the notice")
    finally:
        scale.send_signal(signal.SIGINT)
        out, _ = scale.communicate(timeout=60)
    assert "module: command not found" in out
    assert "died young" in out
    assert len(world.blocks()) == 1


def test_a_tick_from_cron_brings_a_dead_broker_back_and_goes_on(world):
    world.insist("enqueue", samples(world, "data", 8))
    world.insist("blocks", "scale", "-f", "two", "--max", "1", "--once", "--yes")
    for process in world.cluster.pids_on("login", user=user.NAME):
        os.kill(process.pid, signal.SIGKILL)
    line = world.insist("blocks", "cron").out.strip().removeprefix("* * * * * ")
    done = world.cluster.run("login", ["/bin/sh", "-c", line], env={"PATH": "/usr/bin:/bin"}, timeout=120)
    assert done.returncode == 0, done
    wait_until(lambda: len(set(ends(world, "data"))) == 8, 120, "all to end")
    assert world.insist("broker", "status")
