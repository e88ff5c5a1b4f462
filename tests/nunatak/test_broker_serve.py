"""`nunatak broker serve`: the broker kept on a host by a process of its own, as its batch job does."""

import dataclasses
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import servers as parts
from filled_queue import call
from servers import address_of, supervisors, wait_until

from broker import epoch as epochs
from broker.address import Address, interfaces, this_host, write_address
from broker.heartbeat import Heartbeat, write_heartbeat
from broker.home import Home
from broker.start import Answer, ask, ensure_broker
from broker.stop import stop_broker
from nunatak.serving import Place, judge
from nunatak.settings import load_settings

#: A lease of seconds, and with it everything that is measured by it.
_LEASE = "[lease]\nlease_s = 12\nmargin_s = 2\nrenew_every_s = 2\nbeat_every_s = 0.5\nbeat_fresh_s = 1.5\nreap_every_s = 1\n"
Serve = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def quick_home(home: Home) -> Home:
    home.config_file.write_text(_LEASE)
    return home


@pytest.fixture
def serve(quick_home: Home) -> Iterator[Serve]:
    """Starts `nunatak broker serve` in a process of its own."""
    started = []

    def start(*options: str) -> "subprocess.Popen[str]":
        program = Path(sysconfig.get_path("scripts")) / "nunatak"
        child = subprocess.Popen(
            [sys.executable, "-I", str(program), "broker", "serve", *options], env={**os.environ, "NUNATAK_HOME": str(quick_home.root)},
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


def start_here(home: Home, bind: str = "loopback") -> Address:
    settings = load_settings({"NUNATAK_HOME": str(home.root)})
    return ensure_broker(home, dataclasses.replace(settings.server, bind=bind), settings.lease)


def lives_here(home: Home) -> bool:
    address = address_of(home)
    return bool(supervisors(home)) and address.is_for_all_hosts and ask(home, address)[0] is Answer.FRESH


def ended(child: "subprocess.Popen[str]") -> tuple[int, str]:
    _, err = child.communicate(timeout=60)
    return child.returncode, err


def until_served(home: Home) -> None:
    wait_until(lambda: home.address_file.exists() and lives_here(home), 60, "the broker to be served")


ADDRESS = Address(epoch=2, hosts=("10.0.0.1",), port=1, socket="", host="n1", server_pid=7, supervisor_pid=8, started_at=0.0)


@pytest.mark.parametrize(("place", "address", "lives"), [
    (Place.HERE, ADDRESS, True),
    (Place.CRASHED, ADDRESS, False),
    (Place.ELSEWHERE, dataclasses.replace(ADDRESS, host="login2"), False),
    (Place.STOPPED, dataclasses.replace(ADDRESS, server_pid=0), True),
    (Place.STOPPED, None, False),
])
def test_where_the_broker_is_decides_whether_it_is_served(place, address, lives):
    assert judge(address, "n1", lives) is place


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_the_warning_before_a_jobs_end_stops_the_broker_in_good_order(quick_home: Home, serve: Serve, number):
    child = serve()
    until_served(quick_home)
    child.send_signal(number)
    code, err = ended(child)
    assert (code, parts.servers(quick_home), supervisors(quick_home)) == (0, [], [])
    assert address_of(quick_home).is_stopped
    assert "told to go" in err


def test_a_broker_of_this_host_alone_is_opened_to_all(quick_home: Home, serve: Serve):
    if not interfaces():
        parts.missing("a network interface beside loopback")
    before = start_here(quick_home)
    serve()
    until_served(quick_home)
    assert address_of(quick_home).port == before.port


def test_it_ends_when_somebody_stops_the_broker(quick_home: Home, serve: Serve):
    child = serve()
    until_served(quick_home)
    stop_broker(quick_home, force=False)
    code, err = ended(child)
    assert code == 0
    assert "somebody has stopped it" in err


def test_a_killed_supervisor_gets_a_successor(quick_home: Home, serve: Serve):
    child = serve()
    until_served(quick_home)
    (before,) = supervisors(quick_home)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: supervisors(quick_home) not in ([], [before]), 30, "another supervisor")
    assert child.poll() is None


def test_it_takes_over_only_once_the_heartbeat_of_a_dead_host_stood_still(quick_home: Home, serve: Serve):
    start_here(quick_home)
    parts.kill_broker(quick_home)
    write_address(quick_home, dataclasses.replace(address_of(quick_home), host="login9"))
    counter, began = 1_000, time.monotonic()
    write_heartbeat(quick_home, Heartbeat(counter=counter, epoch=1, writer="login9:7"))
    child = serve("--move")
    # While it moves, its host lives, and nothing is taken over.
    while time.monotonic() < began + 7:
        counter += 1
        write_heartbeat(quick_home, Heartbeat(counter=counter, epoch=1, writer="login9:7"))
        assert epochs.epochs(quick_home) == [1]
        time.sleep(0.2)
    child.send_signal(signal.SIGTERM)
    code, err = ended(child)
    assert code == 0
    assert "its heartbeat moves" in err
    serve("--move")
    until_served(quick_home)
    assert (address_of(quick_home).host, epochs.newest(quick_home)) == (this_host(), 2)


def test_it_leaves_when_a_newer_epoch_has_begun_elsewhere(quick_home: Home, serve: Serve):
    child = serve()
    until_served(quick_home)
    # Another host believes to be the one, and has won the race for the next epoch.
    quick_home.epoch_dir(2).mkdir(mode=0o700)
    (quick_home.epoch_dir(2) / "complete").touch()
    wait_until(lambda: not supervisors(quick_home) and not parts.servers(quick_home), 30, "the old server to be stopped")
    write_address(quick_home, dataclasses.replace(address_of(quick_home), host="login9", epoch=2, hosts=("127.0.0.1",), server_pid=1))
    code, err = ended(child)
    assert (code, supervisors(quick_home)) == (0, [])
    assert "it lives on another host" in err


def test_without_move_a_broker_that_lives_elsewhere_is_left_there(quick_home: Home, serve: Serve):
    if not interfaces():
        parts.missing("a network interface beside loopback")
    start_here(quick_home, bind="all")
    write_address(quick_home, dataclasses.replace(address_of(quick_home), host="login9"))
    before = address_of(quick_home)
    child = serve()
    time.sleep(3)
    assert child.poll() is None
    assert address_of(quick_home) == before
    assert len(parts.servers(quick_home)) == 1


def test_with_move_a_broker_that_lives_elsewhere_is_stopped_there_and_started_here(quick_home: Home, serve: Serve):
    if not interfaces():
        parts.missing("a network interface beside loopback")
    before = start_here(quick_home, bind="all")
    write_address(quick_home, dataclasses.replace(address_of(quick_home), host="login9"))
    serve("--move")
    wait_until(lambda: address_of(quick_home).host == this_host() and lives_here(quick_home), 60, "the broker to be here")
    assert parts.servers(quick_home) == [address_of(quick_home).server_pid]
    assert address_of(quick_home).server_pid != before.server_pid


def test_an_external_server_is_not_served(quick_home: Home):
    quick_home.config_file.write_text(_LEASE + '[server]\nurl = "redis://h:1/0"\n')
    refused = call(quick_home.root, "broker", "serve")
    assert refused.code == 2
    assert "external server" in refused.err
