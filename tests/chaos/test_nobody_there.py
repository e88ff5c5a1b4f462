"""No launcher, and then no broker either: blocks end by themselves, and nothing that ended meanwhile is run again."""

import pytest
from chaos.broker_processes import brokers_on, kill_broker
from chaos.scale import FULL, SCALE
from chaos.signs import until
from chaos.slurm_world import SlurmWorld, slurm_world
from cluster.fixtures import new_cluster  # noqa: F401  # a fixture

#: That a broker stands still is proved well before a lease's jobfiles would be frozen.
QUICK = {"lease_s": 9.0, "margin_s": 1.5, "renew_every_s": 1.0, "beat_every_s": 0.3, "beat_fresh_s": 1.0}
LEASE = dict(SCALE.lease) | ({} if FULL else QUICK)
#: No node leaves because it is idle.
WORKER = {"idle_s": 3600.0, "no_broker_idle_s": 1800.0 if FULL else 8.0}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200 if FULL else 240)]


def _in_contact(world: SlurmWorld) -> set[str]:
    """What nodes leave beside the heartbeat once they have heard of the broker."""
    return {path.name for path in (world.home / "heartbeat").glob("node-*")}


def _log(world: SlurmWorld, block: str) -> str:
    """What guards and workers of a block have written."""
    return "".join(path.read_text() for path in (world.cluster.home / "logs").glob(f"{block}-*.log"))


def test_blocks_end_when_the_broker_was_killed_and_what_ended_without_it_is_found_done(new_cluster, wait_until):  # noqa: F811
    cluster = new_cluster(nodes=2)
    with slurm_world(cluster, lease=LEASE, worker=WORKER) as world:
        go = cluster.home / "go"
        world.write("A", 0.5, before=until(go))
        world.write_site()
        world.enqueue()
        blocks = world.submit(2)
        [before] = world.wait_started(1)
        wait_until(lambda: _in_contact(world) == {"node-n1", "node-n2"}, 60, "both nodes to have heard of the broker")
        kill_broker(cluster, "login")
        # The node that has nothing to run leaves, and the other one stays for what it runs.
        wait_until(lambda: len(world.slurm_jobs()) == 1, WORKER["no_broker_idle_s"] + SCALE.limit_s(60), "the idle block to end")
        [now] = world.log.runs()
        assert (now.token, now.last > before.last) == (before.token, True)
        go.touch()
        wait_until(lambda: world.ended() == {"A"}, 30, "A to end")
        world.assert_nothing_left(WORKER["no_broker_idle_s"] + SCALE.limit_s(60))
        assert brokers_on(cluster, "login") == [], "somebody has started it again"

        # The user is back: A is done, and another block finds that out without running it.
        assert world.block_states() == dict.fromkeys(blocks, "ended")
        [block] = world.submit()
        wait_until(lambda: "run.record_found" in _log(world, block), 60 + 2 * LEASE["lease_s"], "the record of A to be found")
        world.wait_ended(["A"], 60)
        world.assert_nothing_lost_and_none_twice(["A"])


def test_blocks_end_when_the_queue_is_empty_and_the_broker_was_stopped(new_cluster, wait_until):  # noqa: F811
    cluster = new_cluster(nodes=2)
    with slurm_world(cluster, lease=LEASE, worker=WORKER) as world:
        world.write("A", 0.5)
        world.write_site(nodes_per_block=2)
        world.enqueue()
        world.submit()
        world.wait_ended(["A"])
        wait_until(lambda: _in_contact(world) == {"node-n1", "node-n2"}, 60, "both nodes to have heard of the broker")
        world.insist("broker", "stop", "--force")
        world.assert_nothing_left(WORKER["no_broker_idle_s"] + SCALE.limit_s(60))
        world.assert_nothing_lost_and_none_twice(["A"])
        assert brokers_on(cluster, "login") == [], "somebody has started it again"
