"""A node of a block on which every jobfile fails at once is given nothing more; jobfiles that fail everywhere are no node's fault."""

import time

import pytest
from chaos.scale import SCALE
from chaos.signs import until
from chaos.slurm_world import slurm_world
from cluster import user
from cluster.fixtures import new_cluster  # noqa: F401  # a fixture

BAD = "n3"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SCALE.limit_s(180))]


def _campaign(world):
    """The one campaign, as `nunatak status` has it."""
    [campaign] = world.insist("status", "--json").json["campaigns"]
    return campaign


def _status(world):
    """Without the breaks at the end of a terminal's lines."""
    return " ".join(world.insist("status").out.split())


def test_a_node_where_jobfiles_fail_at_once_gets_no_more_of_them_and_the_others_of_its_block_do_them_all(new_cluster, wait_until):  # noqa: F811
    cluster = new_cluster()
    with slurm_world(cluster, lease=SCALE.lease, worker=SCALE.worker()) as world:
        go = cluster.home / "go"
        names = world.write_many(24, 1.5, before=f'[ "$NUNATAK_NODE" != {BAD} ] || exit 3')
        # These keep the block at work for as long as the test looks at it.
        held = [world.write(f"held{number}", 0.5, before=until(go)).stem.removeprefix("qsub_") for number in range(2)]
        world.write_site(nodes_per_block=4)
        world.enqueue("--priority", "4")
        [block] = world.submit()
        wait_until(lambda: f"1 bad node given nothing more: {BAD} (block {block})" in _status(world), SCALE.limit_s(60), f"{BAD} to be told")
        called_at = time.time()
        assert "jobfiles that do well elsewhere fail here at once: exit code 3" in _status(world)
        wait_until(lambda: not cluster.pids_on(BAD, user=user.NAME), SCALE.limit_s(60), f"{BAD} to be left")
        wait_until(lambda: set(names) <= world.ended(), SCALE.limit_s(60), "the other nodes to do what it could not")
        assert f"1 bad node given nothing more: {BAD}" in _status(world)
        go.touch()
        names += held
        world.wait_ended(names, SCALE.limit_s(60))

        on_bad = [run for run in world.log.runs() if run.node == BAD]
        assert len({run.name for run in on_bad}) >= 3
        assert max(run.first for run in on_bad) < called_at
        world.assert_nothing_lost_and_none_twice(names, once_more={run.name for run in on_bad})
        assert world.job_values(names, "failures") == {0}
        assert _campaign(world)["paused"] is None
        assert list(world.block_states()) == [block]
        world.insist("blocks", "cancel", block)
        world.assert_nothing_left()


def test_a_campaign_whose_jobfiles_fail_on_every_node_pauses_and_no_node_is_called_bad(new_cluster, wait_until):  # noqa: F811
    cluster = new_cluster()
    with slurm_world(cluster, lease=SCALE.lease, worker=SCALE.worker()) as world:
        names = world.write_many(24, 0.0, before="exit 3")
        world.write_site(nodes_per_block=4)
        world.enqueue()
        [block] = world.submit()
        wait_until(lambda: _campaign(world)["paused"], SCALE.limit_s(60), "the campaign to pause")
        wait_until(lambda: len({run.node for run in world.log.runs()}) >= 2, SCALE.limit_s(30), "another node to try")
        wait_until(lambda: _campaign(world)["counts"]["running"] == 0, SCALE.limit_s(30), "what runs to end")

        tried = {run.name for run in world.log.runs()}
        assert len(tried) < len(names), "the pause has kept nothing from failing"
        assert world.ended() == set()
        assert "failed: exit code 3" in _campaign(world)["paused"]
        assert "bad node" not in _status(world)
        assert {worker["state"] for worker in world.insist("workers", "--json").lines} == {"running"}
        assert list(world.block_states()) == [block]
        world.insist("blocks", "cancel", block)
        world.assert_nothing_left()
