"""Nodes of a block die one after another: the others work on, and what was lost runs once more, on them."""

import pytest
from chaos.scale import SCALE
from chaos.slurm_world import slurm_world
from cluster.fixtures import new_cluster  # noqa: F401  # a fixture


def _running_on(world, node):
    """The jobfiles whose last attempt has begun on a node and not ended, by their own log."""
    last = {run.name: run for run in world.log.runs()}
    return {name for name, run in last.items() if run.node == node and not run.ended}


@pytest.mark.slow
@pytest.mark.timeout(SCALE.limit_s(300))
def test_a_node_the_batch_host_and_nodes_that_reboot_are_lost_and_the_last_one_finishes_everything(new_cluster, wait_until):  # noqa: F811
    cluster = new_cluster(nodes=5, settings=SCALE.slurm())
    with slurm_world(cluster, lease=SCALE.lease, worker=SCALE.worker()) as world:
        names = world.write_many(SCALE.jobfiles, SCALE.run_s)
        world.write_site(nodes_per_block=5, walltime="04:00:00")
        world.enqueue()
        [block] = world.submit()
        world.wait_started(10)
        batch_host = world.batch_host(block)
        killed, sooner, later, last = (node for node in cluster.nodes if node != batch_host)
        lost = set()

        def lose(node):
            wait_until(lambda: _running_on(world, node), SCALE.limit_s(30), f"{node} to be at work")
            cluster.kill_node(node)
            lost.update(_running_on(world, node))

        def reboot(node):
            """Before Slurm has noticed, which would take SlurmdTimeout."""
            lose(node)
            assert cluster.node_states()[node] == "allocated"
            cluster.start_node(node)

        lose(killed)
        steps = cluster.pids_on(batch_host, name="srun")
        reboot(sooner)
        # Slurm ends the step that had been there. A step of all nodes would take all of them with it, whatever it was told.
        wait_until(lambda: set(steps) - set(cluster.pids_on(batch_host, name="srun")), SCALE.limit_s(30), "an srun to end")
        lose(batch_host)
        reboot(later)
        assert len(lost) >= 4

        world.wait_ended(names, SCALE.limit_s(200))
        assert {world.nodes_of(name)[-1] for name in lost} <= {last, sooner}
        assert list(world.block_states()) == [block], "the block was submitted again"
        # Slurm does not know that the batch host's part is over, and would keep the job until its walltime is.
        world.finish(names, once_more=lost)
