"""The supervisor's rounds, one by one, on a real server; time passes when the test says so."""

import os
import socket
import time
from typing import Any

import pytest
from servers import address_of, servers, wait_until
from supervisor_scene import LEASE, Scene

from broker import beater as beater_module
from broker import keys
from broker.beater import Beater, clocks_drift
from broker.client import open_client
from broker.errors import Stale, Unreachable
from broker.heartbeat import Heartbeat, read_heartbeat, write_heartbeat
from broker.home import Home
from broker.minder import Minder
from broker.scripts import Scripts
from broker.server import choose_port
from broker.settings import ServerSettings

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
