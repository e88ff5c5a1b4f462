"""A node of a block on which every jobfile fails at once is given nothing more; jobfiles that fail everywhere are no node's fault."""

import time

import pytest
from chaos.scale import SCALE
from chaos.slurm_world import slurm_world
from cluster.fixtures import new_cluster  # noqa: F401  # a fixture

BAD = "n3"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SCALE.limit_s(180))]


def _campaign(world):
    """The one campaign, as `nunatak status` has it."""
    [campaign] = world.insist("status", "--json").json["campaigns"].values()
    return campaign


def _worker_states(world):
    return {worker["node"]: worker["state"] for worker in world.insist("workers", "--json").lines}


def test_a_node_where_jobfiles_fail_at_once_gets_no_more_of_them_and_the_others_of_its_block_do_them_all(new_cluster, wait_until):  # noqa: F811
    cluster = new_cluster()
    with slurm_world(cluster, lease=SCALE.lease, worker=SCALE.worker()) as world:
        names = world.write_many(24, 1.5, before=f'[ "$NUNATAK_NODE" != {BAD} ] || exit 3')
        world.write_site(nodes_per_block=4)
        world.enqueue()
        [block] = world.submit()
        told = f"1 bad node given nothing more: {BAD} (block {block})"
        wait_until(lambda: told in world.status(), SCALE.limit_s(60), f"{BAD} to be called bad")
        called_at = time.time()
        assert len(world.started()) < len(names), "nothing is left that it could claim"
        assert "jobfiles that do well elsewhere fail here at once: exit code 3" in world.status()
        world.wait_ended(names, SCALE.limit_s(60))

        on_bad = [run for run in world.log.runs() if run.node == BAD]
        assert len({run.name for run in on_bad}) >= 3
        assert max(run.first for run in on_bad) < called_at
        assert _worker_states(world)[BAD] == "bad"
        assert _campaign(world)["paused"] is None
        assert list(world.block_states()) == [block]
        world.finish(names, once_more={run.name for run in on_bad})


def test_a_campaign_whose_jobfiles_fail_on_every_node_pauses_and_no_node_is_called_bad(new_cluster, wait_until):  # noqa: F811
    cluster = new_cluster()
    with slurm_world(cluster, lease=SCALE.lease, worker=SCALE.worker()) as world:
        names = world.write_many(24, 0.0, before="exit 3")
        world.write_site(nodes_per_block=4)
        world.enqueue()
        [block] = world.submit()
        wait_until(lambda: _campaign(world)["paused"], SCALE.limit_s(60), "the campaign to pause")
        wait_until(lambda: len({run.node for run in world.log.runs()}) >= 2, SCALE.limit_s(30), "another node to try")
        wait_until(lambda: _campaign(world)["running"] == 0, SCALE.limit_s(30), "what runs to end")

        tried = {run.name for run in world.log.runs()}
        assert len(tried) < len(names), "the pause has kept nothing from failing"
        assert world.ended() == set()
        assert "failed: exit code 3" in _campaign(world)["paused"]
        assert "bad node" not in world.status()
        assert set(_worker_states(world).values()) == {"running"}
        assert list(world.block_states()) == [block]
        world.insist("blocks", "cancel", block)
        world.assert_nothing_left()
