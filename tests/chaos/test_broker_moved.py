"""The broker moves to another host's folder and port while the old one lives on, cut off: it can do nothing, and ends when it is back."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import servers
from chaos.signs import LEASE_S, OUTAGE, STUTTER_S, longest_pause, until
from servers import address_of
from whole.proc import is_alive, kill

from broker.address import write_address
from broker.client import connect, endpoints
from broker.errors import Stale
from broker.home import Home
from broker.lease import Holder, Leases, Room
from broker.scripts import Scripts
from broker.start import ensure_broker
from nunatak.settings import load_settings

#: Long enough that the old server is stale when it is over, as 200 s are.
_WATCH_S = 3.0
_STRANGER = Holder(worker="stranger", node="elsewhere", block="b0")


class OldHost:
    """A broker that has the home's filesystem at a mount point of its own, which can go away, and be back."""

    def __init__(self, home: Home, mount: Path) -> None:
        self.home = home
        self._mount = mount
        mount.symlink_to(home.root)

    def start_broker(self, settings) -> None:
        address = ensure_broker(Home(self._mount), settings.server, settings.lease)
        self.server, self.supervisor = address.server_pid, address.supervisor_pid
        (endpoint, *_) = endpoints(self.home, address, address.host)
        self.leases = Leases(Scripts(connect(endpoint)))

    def cut_off(self, *, lock: str = "local") -> None:
        """Its supervisor's lock is known to its own host only, as on many a cluster's filesystem, or to all (`lock="shared"`)."""
        self._point_to(Path("/nonexistent"))
        if lock == "local":
            self.home.supervisor_lock.unlink()
        else:
            self.home.supervisor_lock.write_text(f"oldhost {self.supervisor}\n")
        # Everybody else is on another host.
        write_address(self.home, replace(address_of(self.home), host="oldhost"))

    def come_back(self) -> None:
        self._point_to(self.home.root)

    def _point_to(self, target: Path) -> None:
        draft = self._mount.with_suffix(".new")
        draft.symlink_to(target)
        os.replace(draft, self._mount)

    def refuses_everything(self) -> bool:
        """No verb but this one and a beat can do harm to somebody else's work, and none is carried out."""
        try:
            self.leases.claim("a stranger's token", _STRANGER, Room(free_share=1.0, slot_share=0.5))
        except Stale:
            return True
        return False

    def lives(self) -> bool:
        return is_alive(self.server) and is_alive(self.supervisor)

    def close(self) -> None:
        for pid in (self.supervisor, self.server):
            kill(pid)


@pytest.fixture
def old_host(machine, tmp_path):
    old = OldHost(machine.home, tmp_path / "mount")
    machine.quicken(**OUTAGE)
    old.start_broker(load_settings(machine.environ))
    yield old
    old.leases.scripts.client.close()
    old.close()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_workers_follow_a_broker_that_has_moved_and_the_old_one_does_no_harm(machine, old_host, wait_until):
    settings = load_settings(machine.environ)
    go = machine.root / "go"
    for name in ("A", "B", "C", "D"):
        machine.write_ticking(name, 0.5, before=until(go) if name in "AB" else "")
    machine.enqueue()
    node = machine.start_node("m1")
    machine.wait_running("A", "B")
    port = address_of(machine.home).port

    old_host.cut_off()
    away = time.time()
    moved = ensure_broker(settings.home, settings.server, settings.lease, still_s=_WATCH_S)
    assert (moved.epoch, moved.port != port) == (2, True)
    assert old_host.lives()
    assert old_host.refuses_everything()
    # The worker's first renewal there: A and B are its own in the new broker too.
    wait_until(lambda: node.words().count("renewer.contact") >= 1, 20, "the worker to follow")
    wait_until(lambda: time.time() > away + 2 * LEASE_S, 2 * LEASE_S, "two leases to pass")
    assert {name: machine.jobs()[name].losses for name in "AB"} == {"A": 0, "B": 0}
    assert old_host.lives()
    assert old_host.refuses_everything()
    followed = time.time()

    old_host.come_back()
    wait_until(lambda: not is_alive(old_host.server) and not is_alive(old_host.supervisor), 20, "the old broker to end")
    assert address_of(machine.home) == moved, "who was superseded writes no address any more"
    go.touch()
    jobs = machine.wait_ended()
    for name in "AB":
        assert longest_pause(machine, name, away, away + _WATCH_S) < STUTTER_S
        assert longest_pause(machine, name, followed, machine.log.of(name)[0].last) < STUTTER_S
    assert {run.name: run.attempt for run in machine.log.runs()} == dict.fromkeys("ABCD", 1)
    assert len(machine.log.runs()) == 4
    assert {name: (job.deliveries, job.losses) for name, job in jobs.items()} == dict.fromkeys("ABCD", (1, 0))
    assert node.words().count("worker.started") == 1
    assert servers.servers(machine.home) == [moved.server_pid]
    machine.assert_all_done_and_none_twice_at_once(jobs)


@pytest.mark.timeout(60)
def test_a_lock_that_reaches_other_hosts_does_not_keep_the_broker_from_moving(machine, old_host, wait_until):
    settings = load_settings(machine.environ)
    old_host.cut_off(lock="shared")
    notices = []

    def notice(words):
        notices.append(words)
        assert len(notices) < 3, "it watches again and again"

    moved = ensure_broker(settings.home, settings.server, settings.lease, still_s=_WATCH_S, notice=notice)
    assert moved.epoch == 2
    assert old_host.lives()
    assert old_host.refuses_everything()
    old_host.come_back()
    wait_until(lambda: not is_alive(old_host.server), 20, "the old server to end")
    assert address_of(machine.home) == moved
