"""When the supervisor ends by itself, and what it keeps in order until then."""

import os
from typing import Any

import pytest
from servers import address_of, servers, wait_until
from supervisor_scene import Scene

from broker import epoch as epochs
from broker import keys
from broker.client import open_client
from broker.enqueue import Entry, enqueue, job_id
from broker.errors import BrokerError
from broker.home import Home
from broker.ledger import Ledger
from broker.lock import SupervisorLock
from broker.minder import Minder
from broker.scripts import Scripts
from broker.settings import ServerSettings
from broker.supervisor import STOP_FIELD, Every, Leave

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
    scripts = Scripts(client)
    scripts.cancel([job_id("/d", "a.sh")])
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
