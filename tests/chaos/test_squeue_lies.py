"""squeue answers nothing, garbage, an error, half of the blocks, or never: nothing is submitted, though much waits and more is allowed."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from chaos.fake_slurm import FakeSlurm
from chaos.scale import SCALE
from chaos.signs import until
from chaos.slurm_world import SlurmWorld, slurm_world
from cluster.fixtures import new_cluster  # noqa: F401  # a fixture

NAIVE = Path(__file__).with_name("naive_reader.py")
#: How long a command of Slurm's may take.
TIMEOUT_S = 4


@dataclass(frozen=True, kw_only=True)
class Lie:
    """One way in which squeue does not say what is."""

    #: Lines of bash; `HALF` stands for a pattern of the numbers of every other job.
    does: str
    #: What is said of it, and by `blocks list`, which has a longer patience of its own: "" where it would need it.
    words: str
    listed: str
    #: Whom a reader that takes what is not mentioned for ended takes for ended: "all", "half", or "" where it sees that it is a lie.
    gone: str = ""


def _said(words: str) -> dict[str, str]:
    return {"words": words, "listed": words}


UNSEEN = {"words": "it is not known what became of block", "listed": "squeue has not mentioned it since"}
LIES = (
    Lie(does="exit 0", **_said("squeue answered nothing, not even its header"), gone="all"),
    # As on a host that is configured for another cluster.
    Lie(does='$real "$@" | grep JOBID; exit 0', **UNSEEN, gone="all"),
    Lie(does='$real "$@" | grep -vwE "HALF"; exit 0', **UNSEEN, gone="half"),
    Lie(does="echo CLUSTER: main; exit 0", **_said("squeue answered garbage: 'CLUSTER: main")),
    Lie(does="echo slurm_load_jobs error: Socket timed out >&2; exit 1", **_said("squeue ended with 1: slurm_load_jobs error: Socket")),
    Lie(does="exec sleep 1000", words=f"squeue did not answer in {TIMEOUT_S} s", listed=""),
)


class Liar:
    """A world whose squeue lies when it is told to, with more to do than its blocks can take."""

    def __init__(self, world: SlurmWorld) -> None:
        self.world = world
        self.fake = FakeSlurm(world)

    def scale(self, most: int) -> str:
        """One step that may have so many blocks; what it said."""
        return self.world.insist("blocks", "scale", "-f", "test", "--max", str(most), "--once").err

    def jobs(self) -> list[str]:
        """The numbers of all jobs that Slurm has ever had, by its own list."""
        return sorted(self.world.cluster.squeue("-t", "all", "-o", "%i", host="login2"))

    def living(self) -> list[str]:
        return sorted(line.split()[0] for line in self.world.cluster.squeue("-o", "%i", host="login2"))

    def naive(self, job_ids: list[str]) -> list[str]:
        """Those of these running jobs that have ended to Parsl's own reader of the same answers."""
        path = self.world.environ["PATH"]
        done = self.world.cluster.run("login", [sys.executable, "-P", NAIVE, *job_ids], env={"PATH": path}, check=True)
        return sorted(job_id for job_id, state in json.loads(done.stdout).items() if state == "COMPLETED")


def _flat(text: str) -> str:
    """Without the breaks at the end of a terminal's lines."""
    return " ".join(text.split())


def _assert_nothing_is_submitted(liar: Liar, lie: Lie) -> None:
    """Under this lie, with room for one more block; and then, without it, that the same wish is followed."""
    world, before = liar.world, liar.jobs()
    assert liar.living() == before, "a block has ended"
    half = before[::2]
    liar.fake.does("squeue", lie.does.replace("HALF", "|".join(half)))
    if lie.gone:
        assert liar.naive(before) == (half if lie.gone == "half" else before)
    assert lie.words in liar.scale(len(before) + 1)
    world.insist("blocks", "tick")
    assert lie.words in _flat(world.insist("status").out)
    if lie.listed:
        listed = world.insist("blocks", "list")
        assert lie.listed in _flat(listed.out + listed.err)
    assert liar.jobs() == before
    liar.fake.does("squeue")
    world.insist("blocks", "tick")
    assert len(liar.jobs()) == len(before) + 1


@pytest.mark.slow
@pytest.mark.timeout(SCALE.limit_s(240))
def test_no_answer_of_squeue_that_is_not_whole_and_true_has_a_block_submitted(new_cluster):  # noqa: F811
    cluster = new_cluster(settings={"FirstJobId": "1001"})
    with slurm_world(cluster) as world:
        go = cluster.home / "go"
        names = world.write_many(24, 0.2, before=until(go))
        world.write_site(poll_every_s=0.05, cmd_timeout_s=TIMEOUT_S, submissions_per_hour=100)
        world.enqueue()
        liar = Liar(world)
        liar.scale(2)
        assert len(liar.jobs()) == 2
        for lie in LIES:
            _assert_nothing_is_submitted(liar, lie)
        go.touch()
        world.wait_ended(names)
        world.assert_nothing_lost_and_none_twice(names)
        world.insist("blocks", "cancel", "all")
        world.assert_nothing_left()
