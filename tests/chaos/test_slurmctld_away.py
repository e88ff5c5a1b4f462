"""slurmctld stops, is killed just after a submission, or hangs during one: what runs runs on, and nothing is submitted a second time."""

import time

import pytest
from chaos.fake_slurm import FakeSlurm
from chaos.hasty import MISSING_S, call_hastily
from chaos.scale import FULL, SCALE
from chaos.signs import until
from chaos.slurm_world import slurm_world
from cluster.fixtures import new_cluster  # noqa: F401  # a fixture

#: How long the controller is away.
AWAY_S = 120.0 if FULL else 10.0


class Watched:
    """A world with more to do than one block can, whose calls of sbatch are counted."""

    def __init__(self, world, wait_until):
        self.world = world
        self.wait_until = wait_until
        self.fake = FakeSlurm(world)
        self.go = world.cluster.home / "go"
        # Those that wait for a word come later, and then there is always more to do.
        last = [f"late{number:02d}" for number in range(16)]
        for name in last:
            world.write(name, 0.2, before=until(self.go))
        self.names = [*world.write_many(16, AWAY_S / 8), *last]
        world.write_site(poll_every_s=0.5)
        world.enqueue()

    def scale(self, most):
        return self.world.insist("blocks", "scale", "-f", "test", "--max", str(most), "--once").err

    def jobs(self):
        """Block -> number, of all that Slurm has of the user, over or not."""
        lines = [line.split() for line in self.world.cluster.squeue("-t", "all", "-o", "%j %i", host="login2")]
        assert len(dict(lines)) == len(lines), f"a block was submitted twice: {lines}"
        return dict(lines)

    def submissions(self):
        return len(self.fake.calls("sbatch"))

    def wait_said(self, words):
        self.wait_until(lambda: words in self.status(), SCALE.limit_s(60), f"{words!r} in the status")

    def status(self):
        return " ".join(self.world.insist("status").out.split())

    def wait_job(self, count):
        self.wait_until(lambda: len(self.jobs()) == count, SCALE.limit_s(60), f"{count} jobs; {self.world.words()}")

    def recorded(self):
        """Block -> number, as we have it."""
        return {block["block"]: block["job_id"] for block in self.world.blocks()}

    def backlog(self):
        return len(self.names) - len(self.world.started())

    def finish(self, once_more=frozenset()):
        self.go.touch()
        self.world.wait_ended(self.names, SCALE.limit_s(120))
        self.world.assert_nothing_lost_and_none_twice(self.names, once_more=once_more)
        self.world.insist("blocks", "cancel", "all")
        self.world.assert_nothing_left()


@pytest.fixture
def watched(request, new_cluster, wait_until):  # noqa: F811
    nodes = getattr(request, "param", 2)
    with slurm_world(new_cluster(nodes=nodes, settings=SCALE.slurm()), lease=SCALE.lease, worker=SCALE.worker()) as world:
        made = Watched(world, wait_until)
        made.scale(1)
        made.wait_job(1)
        world.wait_started(2)
        yield made


def _pass(wait_until, since, seconds):
    wait_until(lambda: time.monotonic() > since + seconds, seconds + 30, "the fault to last")


@pytest.mark.slow
@pytest.mark.timeout(SCALE.limit_s(240))
def test_while_slurmctld_is_stopped_jobfiles_run_on_and_a_block_more_is_submitted_only_afterwards(watched, wait_until):
    world, before = watched.world, len(watched.world.ended())
    world.cluster.daemon("stop", "slurmctld")
    stopped = time.monotonic()
    scale = world.start("blocks", "scale", "-f", "test", "--max", "2")
    watched.wait_said("nothing is submitted on test since")
    assert "squeue ended with 1: slurm_load_jobs error: Unable to contact slurm controller" in watched.status()
    _pass(wait_until, stopped, AWAY_S)
    assert len(world.ended()) >= before + 6
    assert (watched.submissions(), watched.backlog() > 10) == (1, True)

    world.cluster.daemon("start", "slurmctld")
    watched.wait_job(2)
    watched.finish()
    assert (watched.submissions(), watched.recorded() == watched.jobs()) == (2, True)
    scale.terminate()
    scale.communicate(timeout=30)


@pytest.mark.slow
@pytest.mark.timeout(SCALE.limit_s(240))
# No node is left for it: a block that runs has written its number itself.
@pytest.mark.parametrize("watched", [1], indirect=True)
def test_a_submission_that_slurmctld_carries_out_when_it_wakes_is_found_by_its_name_and_not_repeated(watched, wait_until):
    world, fake = watched.world, watched.fake
    here, go = fake.folder / "sbatch.here", fake.folder / "sbatch.go"
    fake.does("sbatch", f"touch {here}; until [ -e {go} ]; do sleep 0.05; done")
    scale = world.start("blocks", "scale", "-f", "test", "--max", "2")
    wait_until(here.exists, SCALE.limit_s(60), "sbatch to be called")
    world.cluster.daemon("freeze", "slurmctld")
    frozen = time.monotonic()
    fake.does("sbatch")
    go.touch()
    watched.wait_said("nothing is submitted on test since")
    _pass(wait_until, frozen, AWAY_S)
    assert watched.backlog() > 10
    assert sorted(world.block_states().values()) == ["running", "unknown"]
    world.cluster.daemon("thaw", "slurmctld")

    watched.wait_job(2)
    wait_until(lambda: watched.recorded() == watched.jobs(), SCALE.limit_s(60), "the number of the second block")
    assert sorted(world.block_states().values()) == ["running", "waiting"]
    watched.finish()
    assert (watched.submissions(), len(watched.jobs())) == (2, 2)
    scale.terminate()
    assert "Socket timed out" in scale.communicate(timeout=30)[0]


@pytest.mark.slow
@pytest.mark.timeout(SCALE.limit_s(240))
def test_a_block_that_slurmctld_has_lost_when_it_was_killed_holds_its_place_until_slurm_denies_it(watched, wait_until):
    world, [first] = watched.world, watched.jobs()
    state = world.cluster.files("ctl") / "state" / "job_state"
    # slurmctld writes every few seconds what it knows.
    runs_since = world.log.runs()[0].first
    wait_until(lambda: state.exists() and state.stat().st_mtime > runs_since, 60, "the first block to be safe")
    watched.scale(2)
    world.cluster.daemon("kill", "slurmctld")
    [lost] = {*watched.recorded()} - {first}
    assert lost.encode() not in state.read_bytes()
    world.cluster.daemon("start", "slurmctld")
    # It gives the number of the lost job to the next one.
    assert list(watched.jobs()) == [first]

    call_hastily(world, "blocks", "tick")
    assert f"it is not known what became of block {lost}: squeue has not mentioned it" in watched.status()
    assert watched.submissions() == 2
    missing = time.monotonic()
    _pass(wait_until, missing, MISSING_S)
    told = call_hastily(world, "blocks", "tick").err
    assert "Slurm knows it no more, and it has not said how it ended" in told
    assert (watched.submissions(), watched.backlog() > 0) == (2, True)
    world.insist("blocks", "resume", "test")
    call_hastily(world, "blocks", "tick")
    watched.wait_job(2)
    watched.finish(once_more={run.name for run in world.log.runs()})
    assert watched.submissions() == 3
