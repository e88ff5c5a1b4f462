"""A block is cancelled while one of its nodes is cut off: Slurm says that it is over, and the node works on."""

import pytest
from chaos.scale import SCALE
from chaos.signs import until
from chaos.slurm_world import slurm_world
from cluster import user
from cluster.fixtures import new_cluster  # noqa: F401  # a fixture


@pytest.mark.slow
@pytest.mark.timeout(SCALE.limit_s(240))
def test_a_cut_node_of_a_cancelled_block_never_runs_its_jobfiles_beside_their_second_copies(new_cluster, wait_until):  # noqa: F811
    cluster = new_cluster(settings=SCALE.slurm())
    with slurm_world(cluster, lease=SCALE.lease, worker=SCALE.worker()) as world:
        go = cluster.home / "go"
        names = world.write_many(4, 0.5, before=until(go))
        world.write_site(nodes_per_block=2, walltime="04:00:00")
        world.enqueue()
        [cancelled] = world.submit()
        wait_until(lambda: len(world.started()) == 4, SCALE.limit_s(60), "all to run")
        [cut] = {run.node for run in world.log.runs()} - {world.batch_host(cancelled)}
        on_cut = {run.name for run in world.log.runs() if run.node == cut}

        cluster.cut(cut)
        world.insist("blocks", "cancel", cancelled)
        world.submit()
        wait_until(lambda: len(world.log.runs()) == 6, SCALE.limit_s(60), "what ran on the other node to run again")
        assert {run.name for run in world.log.runs()[4:]} == set(names) - on_cut
        wait_until(lambda: not world.slurm_says(cancelled), SCALE.limit_s(60), "Slurm to have done with the cancelled block")
        assert cluster.pids_on(cut, user=user.NAME), "Slurm has ended it on a node that it cannot reach"
        wait_until(lambda: len(world.log.runs()) == 8, SCALE.limit_s(60), "all to run again")

        # Their first copies stand still beside them, and are ended as soon as the node hears of it.
        assert cluster.pids_on(cut, user=user.NAME)
        cluster.heal(cut)
        wait_until(lambda: not cluster.pids_on(cut, user=user.NAME), SCALE.limit_s(90), f"{cut} to end what it ran")
        assert len(world.log.runs()) == 8
        go.touch()
        world.wait_ended(names, SCALE.limit_s(60))
        assert world.block_states()[cancelled] == "cancelled"
        world.finish(names, once_more=set(names))
