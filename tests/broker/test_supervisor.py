"""The supervisor's rounds, one by one, on a real server; time passes when the test says so."""

import dataclasses
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from servers import Server, address_of, servers, wait_until

from broker import beater as beater_module
from broker import epoch as epochs
from broker import keys, process
from broker.address import write_address
from broker.beater import Beater, boottime, clocks_drift
from broker.client import open_client
from broker.enqueue import Entry, enqueue
from broker.errors import BrokerError, Stale, Unreachable
from broker.heartbeat import Heartbeat, read_heartbeat, write_heartbeat
from broker.home import Home
from broker.ledger import Ledger
from broker.lock import SupervisorLock
from broker.minder import Minder
from broker.scripts import Scripts
from broker.server import choose_port
from broker.settings import LeaseSettings, ServerSettings
from broker.supervisor import STOP_FIELD, Every, Leave, Supervisor

LEASE = LeaseSettings()


class Clock:
    """CLOCK_BOOTTIME, and what the test adds to it."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return boottime() + self.ahead_s


class Scene:
    """A supervisor in this process with a real server of its own."""

    def __init__(self, home: Home, settings: ServerSettings | None = None) -> None:
        self.home = home
        self.clock = Clock()
        self.settings = settings or ServerSettings()
        self.minder = Minder(home, self.settings, clock=self.clock)
        self.minder.begin(None)
        self.supervisor = Supervisor(home, self.minder, self.settings, LEASE, clock=self.clock)
        self._client: Any = None

    @property
    def pid(self) -> int:
        assert self.minder.process is not None
        return self.minder.process.pid

    def beat(self) -> dict[str, str]:
        """The last beat in the server; the visitor who asks is gone afterwards."""
        client: Any = open_client(self.home)
        try:
            return dict(client.hgetall(keys.BEAT))
        finally:
            client.close()

    def after(self, seconds: float) -> Leave | None:
        self.clock.ahead_s += seconds
        return self.supervisor.run_once()

    def kill_server(self) -> None:
        killed = self.minder.process
        assert killed is not None
        os.kill(killed.pid, 9)
        wait_until(lambda: not killed.is_alive, 5, "the server to be gone")


@pytest.fixture
def scene(home: Home) -> Iterator[Scene]:
    made = Scene(home)
    yield made
    made.minder.lost_contact()


# -- the beat ---------------------------------------------------------------------------------------------------------------------------


def test_a_beat_is_in_the_file_and_in_the_server(scene: Scene):
    assert scene.supervisor.run_once() is None
    found = read_heartbeat(scene.home)
    assert found is not None
    assert (str(found.counter), str(found.epoch)) == (scene.beat()["counter"], scene.beat()["epoch"]) == ("1", "1")


def test_nothing_is_done_before_it_is_due(scene: Scene):
    scene.supervisor.run_once()
    assert 0 < scene.supervisor.wait_s() <= 1.0
    scene.after(14.0)
    assert scene.beat()["counter"] == "1"
    scene.after(1.0)
    assert scene.beat()["counter"] == "2"


def test_the_beats_time_is_the_servers_and_from_before_the_file_was_written(scene: Scene, monkeypatch):
    written_at: list[float] = []

    def slow(home: Home, heartbeat: Heartbeat) -> None:
        time.sleep(0.05)
        written_at.append(time.time())
        write_heartbeat(home, heartbeat)

    monkeypatch.setattr(beater_module, "write_heartbeat", slow)
    scene.supervisor.run_once()
    assert int(scene.beat()["at"]) / 1000 <= written_at[0] - 0.05


def test_without_the_heartbeat_file_there_is_no_beat(scene: Scene):
    scene.home.heartbeat_file.mkdir()
    assert scene.supervisor.run_once() is None
    assert scene.beat() == {}
    scene.home.heartbeat_file.rmdir()
    scene.after(2.0)
    assert scene.beat()["counter"] == "1"


def test_without_a_beat_the_server_refuses_to_do_anything(scene: Scene):
    scene.home.heartbeat_file.mkdir()
    scene.supervisor.run_once()
    client = open_client(scene.home)
    with pytest.raises(Stale):
        Scripts(client).reap()
    client.close()


def test_the_counter_never_falls_whatever_becomes_of_the_file(scene: Scene):
    scene.supervisor.run_once()
    write_heartbeat(scene.home, Heartbeat(counter=500, epoch=1, writer="x"))
    scene.after(15)
    assert scene.beat()["counter"] == "501"
    scene.home.heartbeat_file.write_text("torn")
    scene.after(15)
    assert scene.beat()["counter"] == "502"
    scene.home.heartbeat_file.unlink()
    Beater(scene.home, scene.minder, LEASE).beat()
    assert scene.beat()["counter"] == "503"


@pytest.mark.parametrize(("server", "ours", "expected"), [
    ((100.0, 115.0), (7.0, 22.0), False), ((100.0, 116.9), (7.0, 22.0), False), ((100.0, 117.1), (7.0, 22.0), True),
    ((100.0, 112.9), (7.0, 22.0), True), ((100.0, 115.0), (7.0, 3607.0), True),
])
def test_clocks_that_go_apart_by_more_than_two_seconds_drift(server, ours, expected):
    assert clocks_drift(server, ours) is expected


def test_a_drift_is_a_gap_and_sets_the_grace(scene: Scene):
    scene.supervisor.run_once()
    client: Any = open_client(scene.home)
    client.hset(keys.BEAT, "grace_until", 0)
    client.close()
    scene.after(15)  # by our clock alone: the server's has not moved
    assert int(scene.beat()["grace_until"]) > time.time() * 1000


def test_steady_clocks_are_no_gap(home: Home):
    scene = Scene(home)
    beater = Beater(home, scene.minder, LEASE)
    beater.beat()
    client: Any = scene.minder.client
    client.hset(keys.BEAT, "grace_until", 0)
    beater.beat()
    assert scene.beat()["grace_until"] == "0"
    scene.minder.lost_contact()


def test_a_server_that_hangs_gets_no_beat_and_the_file_stands_still(scene: Scene, monkeypatch):
    scene.supervisor.run_once()
    before = read_heartbeat(scene.home)
    monkeypatch.setattr("broker.minder.answering", lambda *_: (_ for _ in ()).throw(Unreachable("hangs")))
    scene.minder.lost_contact()
    assert scene.after(15) is None
    assert read_heartbeat(scene.home) == before


# -- the server's death -----------------------------------------------------------------------------------------------------------------


def test_a_killed_server_is_started_again_on_its_port_with_its_data_and_beaten_at_once(scene: Scene):
    scene.supervisor.run_once()
    client: Any = scene.minder.client
    client.set("x", "1")
    before = address_of(scene.home)
    scene.kill_server()
    assert scene.after(1) is None
    after = address_of(scene.home)
    assert (after.port, after.socket, after.epoch) == (before.port, before.socket, before.epoch)
    assert after.server_pid == scene.pid != before.server_pid
    fresh: Any = open_client(scene.home)
    assert fresh.get("x") == "1"
    fresh.close()
    assert scene.beat()["counter"] == "2"


def test_a_port_that_was_taken_meanwhile_is_given_up_for_another(scene: Scene):
    scene.supervisor.run_once()
    port = address_of(scene.home).port
    scene.kill_server()
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", port))
        thief.listen()
        assert choose_port(port, "loopback") != port
        scene.after(1)
        assert address_of(scene.home).port not in (0, port)
        assert scene.beat()["counter"] == "2"


def test_a_server_that_keeps_dying_is_started_with_growing_pauses(scene: Scene):
    starts = []
    for _ in range(6):
        if servers(scene.home):
            scene.kill_server()
        scene.after(1)
        starts.append(len(servers(scene.home)))
    assert starts == [1, 1, 0, 1, 0, 0]


def test_what_cannot_be_started_again_is_tried_again_and_the_reason_is_logged(scene: Scene, monkeypatch, caplog):
    scene.supervisor.run_once()
    scene.kill_server()
    monkeypatch.setenv("NUNATAK_REDIS_SERVER", "/bin/false")
    assert scene.after(1) is None
    assert "server.start_failed" in caplog.text
    assert "/bin/false: --version ended with 1" in caplog.text
    monkeypatch.delenv("NUNATAK_REDIS_SERVER")
    scene.after(60)
    assert len(servers(scene.home)) == 1


def test_a_new_supervisor_adopts_the_running_server(scene: Scene):
    scene.supervisor.run_once()
    other = Minder(scene.home, ServerSettings())
    address = other.begin(None)
    assert address.server_pid == scene.pid
    assert servers(scene.home) == [scene.pid]
    os.kill(scene.pid, 9)
    wait_until(lambda: not servers(scene.home), 5, "the server to be gone")
    assert other.process is not None
    assert not other.process.is_alive


# -- two hosts --------------------------------------------------------------------------------------------------------------------------


def test_a_supervisor_that_sees_a_newer_epoch_stops_its_server_and_leaves_the_address_alone(scene: Scene):
    scene.supervisor.run_once()
    before, beat = scene.home.address_file.read_text(), read_heartbeat(scene.home)
    scene.home.epoch_dir(2).mkdir()
    assert scene.after(15) is Leave.SUPERSEDED
    scene.supervisor.leave(Leave.SUPERSEDED)
    assert servers(scene.home) == []
    assert scene.home.address_file.read_text() == before
    assert read_heartbeat(scene.home) == beat


def test_a_superseded_server_that_hangs_is_killed(scene: Scene, monkeypatch):
    monkeypatch.setattr("broker.minder._STOP_S", 0.1)
    os.kill(scene.pid, 19)
    scene.supervisor.leave(Leave.SUPERSEDED)
    assert servers(scene.home) == []


def test_an_epoch_begun_between_the_file_and_the_beat_is_seen_before_the_beat(scene: Scene, monkeypatch):
    scene.supervisor.run_once()
    write = write_heartbeat

    def write_and_lose(home: Home, heartbeat: Heartbeat) -> None:
        write(home, heartbeat)
        home.epoch_dir(2).mkdir()

    monkeypatch.setattr(beater_module, "write_heartbeat", write_and_lose)
    assert scene.after(15) is Leave.SUPERSEDED
    assert scene.beat()["counter"] == "1"


def test_a_dead_server_is_not_started_again_once_there_is_a_newer_epoch(scene: Scene):
    scene.supervisor.run_once()
    scene.kill_server()
    scene.home.epoch_dir(2).mkdir()
    scene.after(1)
    assert servers(scene.home) == []


def test_data_last_used_on_another_host_is_not_touched_without_watching(server: Server, monkeypatch):
    server.kill9()
    monkeypatch.setattr("broker.address.this_host", lambda: "login2")
    with pytest.raises(Unreachable, match="nobody has watched"):
        Minder(server.home, ServerSettings()).begin(None)
    assert epochs.epochs(server.home) == [1]


def minder_of_another_host(home: Home) -> Minder:
    """It minds the server that runs here from `login2`: reachable through the socket, which the test lends it."""
    minder = Minder(home, ServerSettings())
    minder.address = address_of(home)
    return minder


def test_who_minds_another_hosts_server_leaves_when_somebody_else_beats(server: Server):
    home = server.home
    supervisor = Supervisor(home, minder_of_another_host(home), ServerSettings(), LEASE, clock=(clock := Clock()))
    assert supervisor.run_once() is None
    clock.ahead_s += 15
    assert supervisor.run_once() is None
    write_heartbeat(home, Heartbeat(counter=99, epoch=1, writer="login1:7"))
    clock.ahead_s += 15
    assert supervisor.run_once() is Leave.NOT_NEEDED
    supervisor.leave(Leave.NOT_NEEDED)
    assert server.process is not None
    assert server.process.is_alive


def test_who_minds_another_hosts_server_gives_up_after_ten_minutes_without_it(server: Server):
    supervisor = Supervisor(server.home, minder_of_another_host(server.home), ServerSettings(), LEASE, clock=(clock := Clock()))
    assert supervisor.run_once() is None
    server.kill9()
    clock.ahead_s += 300
    assert supervisor.run_once() is None
    clock.ahead_s += 301
    assert supervisor.run_once() is Leave.NOT_NEEDED


def test_a_broker_whose_home_was_removed_ends_after_ten_minutes(scene: Scene):
    scene.supervisor.run_once()
    pid, away = scene.pid, scene.home.root.with_name(scene.home.root.name + "-away")
    scene.home.root.rename(away)
    try:
        assert scene.after(300) is None
        assert scene.after(301) is Leave.NOT_NEEDED
        scene.supervisor.leave(Leave.NOT_NEEDED)
        assert process.argv(pid) == []
    finally:
        away.rename(scene.home.root)


def test_who_minds_another_hosts_server_leaves_when_it_was_stopped_or_moved(server: Server):
    address = address_of(server.home)
    for changed in (dataclasses.replace(address, server_pid=0), dataclasses.replace(address, epoch=2)):
        minder = minder_of_another_host(server.home)
        write_address(server.home, changed)
        assert minder.is_superseded()
        write_address(server.home, address)
        assert not minder.is_superseded()


# -- its end ----------------------------------------------------------------------------------------------------------------------------


def test_it_ends_when_nothing_is_left_to_do_and_nobody_comes(scene: Scene):
    scene.supervisor.run_once()
    assert scene.after(1799) is None
    assert scene.after(15) is Leave.IDLE
    scene.supervisor.leave(Leave.IDLE)
    assert servers(scene.home) == []
    assert address_of(scene.home).is_stopped


def test_a_visitor_in_between_is_reason_to_stay(scene: Scene):
    scene.supervisor.run_once()
    assert scene.after(1000) is None
    scene.beat()  # connects and goes
    assert scene.after(1000) is None
    assert scene.after(1785) is None
    assert scene.after(30) is Leave.IDLE


def test_whoever_stays_connected_keeps_it_alive(scene: Scene):
    client = open_client(scene.home)
    client.ping()
    for _ in range(3):
        assert scene.after(1800) is None
    client.close()
    assert scene.after(15) is None
    assert scene.after(1800) is Leave.IDLE


def test_a_waiting_jobfile_or_a_live_block_keeps_it_alive(scene: Scene):
    scene.supervisor.run_once()
    client = open_client(scene.home)
    scripts = Scripts(client)
    number, _ = scripts.campaign("c", {})
    assert enqueue(scripts, batch="b", campaign=number, directory="/d", entries=[Entry(name="a.sh", priority=5)]).words == ("enqueued",)
    client.close()
    for _ in range(3):
        assert scene.after(1800) is None
    client = open_client(scene.home)
    client.flushdb()
    Ledger(client).record_block("b7", {"site": "x", "submitted_at": "1"})
    client.close()
    for _ in range(3):
        assert scene.after(1800) is None


def test_it_obeys_a_stop_that_is_meant_for_this_life_of_the_server(scene: Scene):
    scene.supervisor.run_once()
    client: Any = open_client(scene.home)
    client.hset(keys.BEAT, STOP_FIELD, "an earlier run")
    assert scene.after(15) is None
    client.hset(keys.BEAT, STOP_FIELD, client.info("server")["run_id"])
    client.close()
    assert scene.after(15) is Leave.TOLD


# -- housekeeping -----------------------------------------------------------------------------------------------------------------------


def test_data_that_nobody_touched_for_long_is_rewritten_before_it_is_purged(scene: Scene):
    scene.supervisor.run_once()
    for path in scene.home.epoch_dir(1).rglob("appendonly*"):
        os.utime(path, (1.0, 1.0))
    assert epochs.oldest_write_s(scene.home, 1) == 1.0
    scene.after(3600)
    wait_until(lambda: (epochs.oldest_write_s(scene.home, 1) or 0) > 1.0, 10, "new data files")


def test_young_data_is_left_alone(scene: Scene):
    scene.supervisor.run_once()
    scene.after(3600)
    client: Any = scene.minder.client
    persistence = client.info("persistence")
    assert persistence["aof_rewrite_in_progress"] == persistence["aof_rewrite_scheduled"] == 0
    assert client.info("commandstats").get("cmdstat_bgrewriteaof") is None


def test_the_servers_log_does_not_grow_without_end(scene: Scene):
    with scene.home.server_log.open("a") as log:
        log.write("x" * (1 << 20))
    scene.supervisor.run_once()
    assert scene.home.server_log.with_name("server.log.1").exists()
    assert not scene.home.server_log.exists() or scene.home.server_log.stat().st_size < 1 << 20


def test_one_lock_per_home_and_it_goes_with_its_holder(home: Home):
    first, second = (SupervisorLock(home.supervisor_lock, "login1") for _ in range(2))
    assert first.take()
    assert not second.take()
    assert home.supervisor_lock.read_text() == f"login1 {os.getpid()}\n"
    first.release()
    assert second.take()
    second.release()


def test_where_there_is_no_flock_the_holders_process_counts(home: Home, monkeypatch):
    def no_flock(_fd: int, _how: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("broker.lock.fcntl.flock", no_flock)
    home.supervisor_lock.write_text(f"login1 {os.getppid()}\n")
    monkeypatch.setattr("broker.lock.process.is_running", lambda pid, _word: pid == os.getppid())
    assert not SupervisorLock(home.supervisor_lock, "login1").take()
    lock = SupervisorLock(home.supervisor_lock, "login2")
    assert lock.take()
    lock.release()


def test_something_that_is_due_every_so_often_is_due_at_once():
    every = Every(10)
    assert [every.is_due(t) for t in (5.0, 6.0, 14.9, 15.0, 24.0)] == [True, False, False, True, False]


def test_a_socket_folder_of_somebody_else_is_refused(home: Home, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"nunatak-{os.getuid()}").mkdir(mode=0o755)
    with pytest.raises(BrokerError, match="open to others"):
        Minder(home, ServerSettings()).begin(None)
    assert servers(home) == []
