"""The broker's host is lost while a block works: the broker goes on elsewhere, and no running jobfile notices (LEASES rules 8 and 9)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from chaos.broker_processes import brokers_on
from chaos.scale import FULL, SCALE
from chaos.signs import STUTTER_S, longest_pause, until
from chaos.slurm_world import SlurmWorld, slurm_world
from cluster.fixtures import new_cluster  # noqa: F401  # a fixture
from cluster.slurm_cluster import Cluster
from servers import address_of, wait_until

from broker.home import Home

#: A silent connection is given up after 10 s, whatever the lease: what a renewal gives must outlast that, and the proof of stillness.
LEASE = dict(SCALE.lease) | ({} if FULL else {"lease_s": 40.0, "margin_s": 5.0})
#: So long a start elsewhere watches the heartbeat.
WATCH_S = LEASE["beat_fresh_s"] * 10 / 3
LONG, SHORT = ("A", "B", "C", "D"), ("E", "F", "G", "H")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600 if FULL else 240)]


class Fall:
    """A block of two nodes at work, whose broker's host is about to be lost: the long jobfiles run until the test lets them end."""

    def __init__(self, world: SlurmWorld) -> None:
        self.world = world
        self.home = Home(world.home)
        self.go = world.cluster.home / "go"
        for name in LONG:
            world.write(name, 0.5, before=until(self.go))
        world.write_site(nodes_per_block=2)
        world.enqueue()
        [self.block] = world.submit()
        world.wait_started(len(LONG))
        for name in SHORT:
            world.write(name, 0.5)
        world.enqueue()
        wait_until(lambda: self._running() == set(LONG), 60, "the ledger to have heard of the long ones")
        self.before = address_of(self.home)
        assert (self.before.host, self.before.epoch) == ("login", 1)
        self.lost_at = time.time()

    def _running(self) -> set[str]:
        return {name for name, job in self.world.jobs().items() if job["state"] == "running" and job["started_at"]}

    def move(self) -> None:
        """The user, on the other login host, asks how things are."""
        self.world.login = "login2"
        said = self.world.insist("status", timeout=WATCH_S + 120)
        assert f"watching for {WATCH_S:g} s" in said.err
        self.after = address_of(self.home)
        assert (self.after.host, self.after.epoch) == ("login2", 2)

    def wait_followed(self) -> None:
        """Every node's worker has lost the broker and found it again, where it is now."""

        def followed() -> bool:
            return [self._is_followed(log) for log in self.logs()] == [True, True]

        wait_until(followed, SCALE.limit_s(60), f"the workers to follow; {self.logs()}")

    def _is_followed(self, log: str) -> bool:
        return 0 < log.count("renewer.unreachable") == log.count("renewer.contact")

    def logs(self) -> list[str]:
        """What guard and worker of each node have written."""
        return [path.read_text() for path in sorted((self.world.cluster.home / "logs").glob(f"{self.block}-*.log"))]

    def finish(self) -> None:
        """The long ones end and the short ones run; nothing of it all has reached any jobfile; the nodes leave."""
        followed_at = time.time()
        self.go.touch()
        self.world.wait_ended([*LONG, *SHORT], SCALE.limit_s(120))
        self.world.assert_nothing_lost_and_none_twice([*LONG, *SHORT])
        for name in LONG:
            assert longest_pause(self.world, name, self.lost_at, followed_at) < STUTTER_S, f"{name} stood still"
        jobs = self.world.jobs()
        assert {name: (job["deliveries"], job["attempt"]) for name, job in jobs.items()} == dict.fromkeys([*LONG, *SHORT], (1, 1))
        assert [log.count("worker.started") for log in self.logs()] == [1, 1]
        assert list(self.world.block_states()) == [self.block]
        assert address_of(self.home) == self.after, "somebody has moved the broker again"
        self.world.assert_nothing_left(SCALE.limit_s(120))


@contextmanager
def fallen(cluster: Cluster) -> Iterator[Fall]:
    with slurm_world(cluster, lease=LEASE, worker={"idle_s": 4.0, "no_broker_idle_s": 4 * WATCH_S}) as world:
        yield Fall(world)


def cut_off(cluster: Cluster, host: str) -> None:
    """From every other host, and from the shared filesystem, which a network without wires brings no more than anything else."""
    cluster.cut(host)
    cluster.run(host, ["mount", "-t", "tmpfs", "-o", "mode=0700", "tmpfs", cluster.home], user="root", cwd="/", check=True)


def bring_back(cluster: Cluster, host: str) -> None:
    cluster.run(host, ["umount", cluster.home], user="root", cwd="/", check=True)
    cluster.heal(host)


def test_a_broker_whose_host_died_goes_on_elsewhere_and_no_running_jobfile_notices(new_cluster):  # noqa: F811
    cluster = new_cluster(nodes=2)
    with fallen(cluster) as fall:
        cluster.kill_node("login")
        fall.move()
        fall.wait_followed()
        fall.finish()
        # Rebooted, the old host finds the broker where it is.
        cluster.start_node("login")
        fall.world.insist("status", host="login")
        assert (brokers_on(cluster, "login"), brokers_on(cluster, "login2")) == ([], ["server", "supervisor"])


def test_a_broker_whose_host_was_cut_off_and_lives_does_no_harm_and_ends_when_it_is_back(new_cluster):  # noqa: F811
    cluster = new_cluster(nodes=2)
    with fallen(cluster) as fall:
        cut_off(cluster, "login")
        fall.move()
        fall.wait_followed()
        assert brokers_on(cluster, "login") == ["server", "supervisor"], "the old one was to live"
        bring_back(cluster, "login")
        wait_until(lambda: brokers_on(cluster, "login") == [], 60, "the old server and its supervisor to end")
        fall.finish()
        assert brokers_on(cluster, "login2") == ["server", "supervisor"]
        # What was cut off uses the new one as well.
        assert fall.world.insist("status", "--json", host="login").json["done"] == len([*LONG, *SHORT])
