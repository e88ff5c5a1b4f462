"""Two campaigns as they were run before: each with its Parsl config of 2019, one with two jobfiles to a node, the other with one."""

import re
from pathlib import Path

import pytest
from chaos.slurm_world import slurm_world
from cluster.fixtures import new_cluster  # noqa: F401  # a fixture

_CONFIGS = Path(__file__).parents[1] / "launcher" / "configs"


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_run_with_the_old_configs_does_two_campaigns_at_2_and_1_per_node_and_overfills_no_node(new_cluster):  # noqa: F811
    cluster = new_cluster(partitions={"skx-normal": ""})
    with slurm_world(cluster) as world:
        for name in ("stampede2_htex", "stampede2_htex_50cm"):
            # This cluster has four nodes.
            text = re.sub(r"nodes_per_block=\d+", "nodes_per_block=2", (_CONFIGS / f"{name}.py").read_text())
            world.write_file(cluster.home / f"{name}.py", text)
        second = world.make_folder(world.folder.parent / "50cm")
        halves = world.write_many(12, 5.0, prefix="half")
        wholes = world.write_many(6, 5.0, prefix="whole", folder=second)

        runs = [
            world.start("run", "-s", str(world.folder), "-f", "stampede2_htex", "--per-node", "2", "--yes"),
            world.start("run", "-s", str(second), "-f", "stampede2_htex_50cm", "--per-node", "1", "--yes"),
        ]
        said = [run.communicate(timeout=240)[0] for run in runs]

        assert [run.returncode for run in runs] == [0, 0], said
        assert "channel" in said[0], "the obsolete argument is named"
        world.assert_nothing_lost_and_none_twice([*halves, *wholes])
        weights = dict.fromkeys(halves, 0.5) | dict.fromkeys(wholes, 1.0)
        assert {node: world.log.most_at_once(weights, node) <= 1 for node in cluster.nodes} == dict.fromkeys(cluster.nodes, True)
        assert max(world.log.most_at_once(weights, node) for node in cluster.nodes) == 1
        world.assert_nothing_left()
