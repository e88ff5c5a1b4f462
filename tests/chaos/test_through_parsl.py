"""Every block is submitted and cancelled through a Parsl provider: the one of Slurm, and whichever a user's own config has."""

import pytest
from chaos.fake_slurm import FakeSlurm
from chaos.hasty import call_hastily
from chaos.scale import SCALE
from chaos.slurm_world import slurm_world
from cluster.fixtures import new_cluster  # noqa: F401  # a fixture

#: Of a kind that we know nothing of: it starts blocks where the command runs, and writes down what it is asked for.
RECORDING = """\
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.launchers import SingleNodeLauncher
from parsl.providers import LocalProvider


class Recording(LocalProvider):
    def submit(self, command, tasks_per_node, job_name="parsl"):
        job_id = super().submit(command, tasks_per_node, job_name)
        self.note("submit", job_id)
        return job_id

    def cancel(self, job_ids):
        self.note("cancel", *job_ids)
        return super().cancel(job_ids)

    def note(self, *words):
        with open({asked!r}, "a") as file:
            print(*words, file=file)


config = Config(
    executors=[HighThroughputExecutor(max_workers_per_node=2, provider=Recording(launcher=SingleNodeLauncher(debug=False), max_blocks=2))]
)
"""


def _words(file):
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def _scancelled(fake):
    return sorted(call.split()[-1] for call in fake.calls("scancel"))


@pytest.mark.slow
@pytest.mark.timeout(SCALE.limit_s(180))
def test_every_sbatch_and_every_scancel_is_called_by_parsls_provider(new_cluster):  # noqa: F811
    cluster = new_cluster(nodes=2)
    with slurm_world(cluster) as world:
        fake, record = FakeSlurm(world), cluster.home / "asked"
        world.write_many(20, 30.0)
        world.write_site(poll_every_s=0.05)
        world.enqueue()
        for words in (
            ("submit", "2", "-f", "test", "--yes"),
            ("scale", "-f", "test", "--max", "4", "--once"),
            ("drain", "all"),
            ("cancel", "all"),
        ):
            said = call_hastily(world, "blocks", *words, record=str(record))
            assert said.code == 0, said
        submitted = [job_id for verb, job_id in _words(record) if verb == "submit"]
        cancelled = [job_id for verb, job_id in _words(record) if verb == "cancel"]
        assert len(fake.calls("sbatch")) == len(submitted) == 4
        assert _scancelled(fake) == sorted(cancelled)
        assert set(cancelled) == set(submitted) == set(cluster.squeue("-t", "all", "-o", "%i"))
        world.assert_nothing_left()


@pytest.mark.slow
@pytest.mark.timeout(SCALE.limit_s(180))
def test_jobfiles_run_in_blocks_of_a_provider_of_another_kind_from_a_users_own_config(new_cluster, wait_until):  # noqa: F811
    cluster = new_cluster(nodes=1)
    with slurm_world(cluster) as world:
        asked = cluster.home / "asked"
        world.write_file(cluster.home / "mine.py", RECORDING.format(asked=str(asked)))
        names = world.write_many(8, 0.5)
        world.insist("run", "-s", str(world.folder), "-f", "./mine.py", "--yes")
        assert world.ended() == set(names)
        world.assert_nothing_lost_and_none_twice(names)
        assert {run.node for run in world.log.runs()} == {"login"}
        blocks = world.blocks()
        assert [word for word in _words(asked) if word[0] == "submit"] == [["submit", block["job_id"]] for block in blocks]
        [block] = world.submit(1, "./mine.py")
        wait_until(lambda: world.block_states()[block] == "running", 60, "the block to run")
        world.insist("blocks", "cancel", block)
        wait_until(lambda: world.block_states()[block] == "cancelled", 60, "the block to end")
        [job_id] = [one["job_id"] for one in world.blocks() if one["block"] == block]
        assert _words(asked)[-2:] == [["submit", job_id], ["cancel", job_id]]
        wait_until(lambda: not cluster.pids_on("login", word="tasks.guard"), 60, "every node of it to end")
