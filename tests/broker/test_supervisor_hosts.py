"""What a supervisor does when another host has the broker, or is to have it."""

import dataclasses
import errno
import os
from pathlib import Path

import pytest
from servers import Server, address_of, servers
from supervisor_scene import LEASE, Clock, Scene

from broker import beater as beater_module
from broker import epoch as epochs
from broker import process
from broker.address import write_address
from broker.errors import Unreachable
from broker.heartbeat import Heartbeat, read_heartbeat, write_heartbeat
from broker.home import Home
from broker.minder import Minder
from broker.settings import ServerSettings
from broker.supervisor import Leave, Supervisor

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


def test_a_broker_whose_filesystem_says_nothing_but_errors_is_not_given_up(scene: Scene, monkeypatch):
    def stale(*_: object, **__: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    scene.supervisor.run_once()
    monkeypatch.setattr(beater_module, "write_heartbeat", stale)
    monkeypatch.setattr(Path, "stat", stale)
    assert scene.after(601) is None


def test_who_minds_another_hosts_server_leaves_when_it_was_stopped_or_moved(server: Server):
    address = address_of(server.home)
    for changed in (dataclasses.replace(address, server_pid=0), dataclasses.replace(address, epoch=2)):
        minder = minder_of_another_host(server.home)
        write_address(server.home, changed)
        assert minder.is_superseded()
        write_address(server.home, address)
        assert not minder.is_superseded()
