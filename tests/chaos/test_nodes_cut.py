"""Nodes are cut off for a while: less than a lease costs nothing, more freezes what runs, and what Slurm then does loses nothing."""

import time

import pytest
from chaos.scale import SCALE
from chaos.signs import STUTTER_S, longest_pause, until
from chaos.slurm_world import slurm_world
from cluster.fixtures import new_cluster  # noqa: F401  # a fixture


def _said(world, event):
    """How often guards and workers have logged this event."""
    return sum(log.read_text(errors="replace").count(event) for log in (world.cluster.home / "logs").glob("*.log"))


def _pass(wait_until, seconds):
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end, seconds + 30, "the cut to last")


def _wait_heard(world, wait_until):
    """Until the broker has heard twice of each worker from now on: what the first says may have been sent long before."""
    began = time.time()
    heard = {node: [] for node in world.cluster.nodes}

    def twice():
        for worker in world.insist("workers", "--json").lines:
            if (at := time.time() - worker["last_contact_s"]) > began:
                heard[worker["node"]].append(at)
        # Two that are nearer may be one, seen twice.
        return all(max(times, default=0.0) - min(times, default=0.0) > 1.0 for times in heard.values())

    wait_until(twice, SCALE.limit_s(40), "all workers to be heard of")


@pytest.mark.slow
@pytest.mark.timeout(SCALE.limit_s(240))
def test_a_cut_shorter_than_the_lease_freezes_nothing_and_a_longer_one_costs_no_work_where_slurm_saw_none(new_cluster, wait_until):  # noqa: F811
    # Slurm sees nothing of any of these cuts.
    cluster = new_cluster(settings={**SCALE.slurm(), "SlurmdTimeout": str(round(3 * SCALE.long_cut_s))})
    with slurm_world(cluster, lease=SCALE.lease, worker=SCALE.worker()) as world:
        go = cluster.home / "go"
        spanning = world.write_many(8, 0.5, before=until(go))
        world.write_site(nodes_per_block=4, walltime="04:00:00")
        world.enqueue()
        [block] = world.submit()
        world.wait_started(8)

        began = time.time()
        for cut in (cluster.nodes[:1], cluster.nodes):
            cluster.cut(*cut)
            _pass(wait_until, SCALE.short_cut_s)
            cluster.heal(*cut)
            _wait_heard(world, wait_until)
        assert _said(world, "attempt.frozen") == 0
        looked = time.time()
        assert max(longest_pause(world, name, began, looked) for name in spanning) < STUTTER_S

        cut_at = time.monotonic()
        cluster.cut(*cluster.nodes)
        wait_until(lambda: _said(world, "attempt.frozen") == 8, SCALE.limit_s(20), "all to be frozen")
        wait_until(lambda: world.job_values(spanning, "state") == {"queued"}, SCALE.limit_s(30), "their leases to run out")
        _pass(wait_until, cut_at + SCALE.long_cut_s - time.monotonic())
        cluster.heal(*cluster.nodes)
        wait_until(lambda: _said(world, "attempt.thawed") == 8, SCALE.limit_s(40), "all to go on")

        go.touch()
        # The nodes take new work, too.
        more = [f"more{number}" for number in range(8)]
        for name in more:
            world.write(name, 1.0)
        world.enqueue()
        names = [*spanning, *more]
        world.wait_ended(names, SCALE.limit_s(60))
        assert {node for name in more for node in world.nodes_of(name)} == set(cluster.nodes)
        assert _said(world, "worker.started") == 4
        assert list(world.block_states()) == [block]
        world.finish(names)


@pytest.mark.slow
@pytest.mark.timeout(SCALE.limit_s(240))
def test_all_nodes_cut_for_longer_than_slurm_bears_lose_nothing_and_run_nothing_twice_at_once(new_cluster, wait_until):  # noqa: F811
    cluster = new_cluster(settings=SCALE.slurm())
    with slurm_world(cluster, lease=SCALE.lease, worker=SCALE.worker()) as world:
        healed, over = cluster.home / "healed", cluster.home / "over"
        names = [f"{word}{number}" for number in range(4) for word in ("soon", "late")]
        for name in names:
            world.write(name, 0.5, before=until(healed if name.startswith("soon") else over))
        world.write_site(nodes_per_block=4, walltime="04:00:00")
        world.enqueue()
        [block] = world.submit()
        world.wait_started(8)

        cut_at = time.monotonic()
        cluster.cut(*cluster.nodes)
        wait_until(lambda: all(state.startswith("down") for state in cluster.node_states().values()), SCALE.limit_s(60), "Slurm to notice")
        wait_until(lambda: world.job_values(names, "state") == {"queued"}, SCALE.limit_s(30), "all leases to run out")
        _pass(wait_until, cut_at + SCALE.long_cut_s - time.monotonic())
        cluster.heal(*cluster.nodes)
        # What goes on before Slurm ends it may come to its end; the others are ended, and begin again elsewhere.
        healed.touch()
        cluster.wait_idle(timeout=SCALE.limit_s(90))
        over.touch()
        # Slurm does not start it again by itself, and neither does anybody else.
        assert world.block_states() == {block: "failed"}
        world.submit()
        world.wait_ended(names, SCALE.limit_s(90))
        world.finish(names, once_more=set(names))
