"""Two partitions and two campaigns with one broker: a block that is bound to a campaign works for it alone, any other one for both."""

import pytest
from chaos.scale import SCALE
from chaos.slurm_world import slurm_world
from cluster.fixtures import new_cluster  # noqa: F401  # a fixture

EAST, WEST = {"n1"}, {"n2", "n3"}


def _nodes(world, names):
    """Where these have run, by their own log."""
    return {node for name in names for node in world.nodes_of(name)}


@pytest.mark.slow
@pytest.mark.timeout(SCALE.limit_s(180))
def test_a_block_bound_to_a_campaign_runs_only_its_jobfiles_and_an_unbound_one_elsewhere_those_of_both(new_cluster, wait_until):  # noqa: F811
    cluster = new_cluster(nodes=3, partitions={"east": "Nodes=n1", "west": "Nodes=n[2-3]"})
    with slurm_world(cluster, lease=SCALE.lease, worker=SCALE.worker()) as world:
        folders = {name: world.make_folder(world.folder.parent / name) for name in ("ours", "theirs")}

        def enqueue(campaign, count, seconds, prefix):
            names = world.write_many(count, seconds, prefix=prefix, folder=folders[campaign])
            world.enqueue("--campaign", campaign, folder=folders[campaign])
            return names

        # What waits first would be claimed first.
        theirs = enqueue("theirs", 4, 0.5, "theirs")
        first = enqueue("ours", 3, 0.5, "first")
        world.write_site("east", partition="east", max_workers=1)
        world.write_site("west", partition="west", nodes_per_block=2)

        [bound] = world.submit(1, "east", "--campaign", "ours")
        assert cluster.squeue("-n", bound, "-o", "%P") == ["east"]
        world.wait_ended(first)
        # It is idle now, and stays: theirs wait, and so do those of ours that come.
        ours = [*first, *enqueue("ours", 8, 2.0, "more")]
        [unbound] = world.submit(1, "west")
        assert cluster.squeue("-n", unbound, "-o", "%P") == ["west"]
        wait_until(lambda: _nodes(world, [*ours, *theirs]) == EAST | WEST, SCALE.limit_s(60), "both blocks to be at work")
        world.wait_ended([*ours, *theirs], SCALE.limit_s(90))

        assert _nodes(world, theirs) <= WEST
        assert _nodes(world, first) == EAST
        assert _nodes(world, ours) > EAST, "the unbound block has worked for one campaign alone"
        sites = {block["block"]: block["site"] for block in world.blocks()}
        assert sites == {bound: "east", unbound: "west"}
        world.finish([*ours, *theirs])
