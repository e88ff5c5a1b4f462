"""The end of a block is no failure: at the walltime, by `scancel`, and by SIGKILL of everything at once."""

import os
import signal
from contextlib import suppress

import pytest
from chaos.slurm_world import LEASE, SlurmWorld, slurm_world
from cluster import user
from cluster.fixtures import new_cluster  # noqa: F401  # a fixture
from cluster.slurm_cluster import Cluster

#: An attempt of a jobfile that was handed back has little left to do.
RESUME = 'if [ "$NUNATAK_ATTEMPT" != 1 ]; then say end; exit 0; fi'
#: It keeps what it has, and goes on.
SAVE = "trap 'say saved' USR2"
#: It keeps what it has, which is all that it is to do now.
STOP = "trap 'say end; exit 0' USR2"
WARNED = "#NUNATAK checkpoint_signal=USR2 grace=12s"


def _said(world: SlurmWorld, name: str, word: str) -> list[float]:
    """When a jobfile has said a word, by its own log."""
    lines = map(str.split, world.log.path.read_text().splitlines())
    return [float(words[0]) for words in lines if words[1:3] == [word, name]]


def _wait_over(world: SlurmWorld, wait_until, limit_s: float) -> None:
    wait_until(lambda: not world.slurm_jobs(), limit_s, f"the block to end; {world.words()}")


def _assert_counts(world: SlurmWorld, names: list[str], **counts: int) -> None:
    assert {key: world.job_values(names, key) for key in counts} == {key: {value} for key, value in counts.items()}


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_at_the_walltime_jobfiles_are_warned_and_wait_again_ahead_of_the_others_and_nothing_is_counted(new_cluster, wait_until):  # noqa: F811
    with slurm_world(new_cluster(nodes=1)) as world:
        world.write("a_keeps", 600, header=WARNED, before=f"{RESUME}\n{SAVE}")
        world.write("b_plain", 600, before=RESUME)
        world.write("c_stops", 600, header=WARNED.replace("12s", "2s"), before=STOP)
        world.write("d_waits", 0)
        world.write_site("minute", walltime="00:01:00", max_workers=3)
        world.write_site("long", max_workers=1)
        world.enqueue()
        world.submit(1, "minute")
        world.wait_started(3)
        _wait_over(world, wait_until, 120)

        jobs = world.jobs()
        assert {name: job["state"] for name, job in jobs.items()} == dict.fromkeys(jobs, "queued") | {"c_stops": "done"}
        cut = ["a_keeps", "b_plain"]
        _assert_counts(world, cut, attempt=1, failures=0, deliveries=0, reason="handed back: the walltime of its block ends")
        runs = {name: world.log.of(name)[0] for name in cut}
        [warned] = _said(world, "a_keeps", "saved")
        for name, run in runs.items():
            assert 10 < run.last - warned < 14, f"{name}: the grace is 12 s, and who asked for none has as long"
            assert jobs[name]["ended_at"] - run.last < 1.0, f"{name} was handed back too late"
        assert not world.log.of("d_waits"), "a jobfile was started after the warning"

        world.submit(1, "long")
        world.wait_ended([*runs, "c_stops", "d_waits"], 60)
        after = [run.name for run in world.log.runs()][3:]
        assert (set(after[:2]), after[2:]) == (set(cut), ["d_waits"]), "what was handed back starts first"
        _assert_counts(world, cut, attempt=2, failures=0, deliveries=1)
        _assert_counts(world, ["c_stops", "d_waits"], attempt=1, failures=0, deliveries=1)


def _kill_all(cluster: Cluster, node: str) -> None:
    """Every process of the user's on the node, and Slurm's own for the step: nobody there can say anything any more."""
    for process in cluster.pids_on(node, user=user.NAME):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_scancel_costs_nothing_and_sigkill_of_everything_only_the_lease(new_cluster, wait_until):  # noqa: F811
    cluster = new_cluster(nodes=1, settings={"KillWait": "30"})
    with slurm_world(cluster) as world:
        names = ["a_keeps", "b_plain"]
        again = RESUME.replace("!= 1", "= 3")
        world.write("a_keeps", 600, header=WARNED, before=f"{again}\n{SAVE}")
        world.write("b_plain", 600, before=again)
        world.write_site()
        world.enqueue()

        world.submit()
        world.wait_started(2)
        cluster.run("login", ["scancel", *[line.split()[0] for line in world.slurm_jobs()]], check=True)
        _wait_over(world, wait_until, 60)
        _assert_counts(world, names, state="queued", attempt=1, failures=0, deliveries=0, reason="handed back: its node leaves")
        assert len(_said(world, "a_keeps", "saved")) == 1
        kept, plain = (world.log.of(name)[0] for name in names)
        assert 6 < kept.last - plain.last < 11, "who handles the warning gets a part of the scheduler's own patience"

        world.submit()
        world.wait_started(4)
        _kill_all(cluster, "n1")
        _wait_over(world, wait_until, 60)
        wait_until(lambda: world.job_values(names, "state") == {"queued"}, LEASE["lease_s"] + 30, "the leases to run out")
        _assert_counts(world, names, attempt=2, failures=0, deliveries=1)

        world.submit()
        world.wait_ended(names, 60)
        _assert_counts(world, names, attempt=3, failures=0, deliveries=2)
        assert world.log.twice_at_once() == []
