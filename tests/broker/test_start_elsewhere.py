"""A broker that is, or was, on another host: found, minded, stopped, taken over."""

import os
import signal
from typing import Any

import pytest
import servers as parts
from broker_steps import HERE, LEASE, ensure, get, kill, on_another_host, put
from servers import address_of, supervisors, wait_until

from broker import epoch as epochs
from broker import keys
from broker.address import interfaces
from broker.client import open_client
from broker.errors import Unreachable
from broker.heartbeat import Heartbeat, write_heartbeat
from broker.home import Home
from broker.settings import LeaseSettings, ServerSettings
from broker.start import ensure_broker, stop_broker

# -- other hosts ------------------------------------------------------------------------------------------------------------------------


def test_a_broker_on_another_host_that_answers_is_adopted(home: Home):
    if not interfaces():
        parts.missing("a network interface beside loopback")
    ensure(home, bind="all")
    on_another_host(home)
    before = address_of(home)
    assert ensure(home) == before
    assert len(supervisors(home)) == 1


def test_a_server_on_another_host_without_supervisor_is_minded_from_here(home: Home):
    if not interfaces():
        parts.missing("a network interface beside loopback")
    address = ensure(home, bind="all")
    kill(address.supervisor_pid, lambda: supervisors(home))
    on_another_host(home)
    client: Any = open_client(home)
    client.hset(keys.BEAT, "at", "0")
    client.close()
    assert ensure(home).server_pid == address.server_pid
    assert len(supervisors(home)) == 1
    # Stopping it goes through the server: the one who minds it from here leaves the server alone, which is then told itself.
    os.kill(supervisors(home)[0], signal.SIGTERM)
    wait_until(lambda: not supervisors(home), 10, "the supervisor to leave")
    assert parts.servers(home) == [address.server_pid]


def test_a_broker_on_another_host_is_stopped_from_here(home: Home):
    if not interfaces():
        parts.missing("a network interface beside loopback")
    ensure_broker(home, ServerSettings(bind="all"), LeaseSettings(beat_every_s=0.5))
    on_another_host(home)
    stop_broker(home, force=False)
    # What is asked for over the network is done a moment after the answer.
    wait_until(lambda: parts.servers(home) == supervisors(home) == [], 20, "server and supervisor to end")


def dead_on_another_host(home: Home, counter: int = 7) -> None:
    """A broker of login9, with data, whose host does not answer."""
    ensure(home)
    put(home, "x", "1")
    parts.kill_broker(home)
    on_another_host(home)
    write_heartbeat(home, Heartbeat(counter=counter, epoch=1, writer="login9:7"))


def test_a_broker_on_another_host_whose_heartbeat_moves_is_not_taken_over(home: Home):
    dead_on_another_host(home)
    notices: list[str] = []
    counter = 7

    def sleep(_seconds: float) -> None:
        nonlocal counter
        counter += 1
        write_heartbeat(home, Heartbeat(counter=counter, epoch=1, writer="login9:7"))

    with pytest.raises(Unreachable, match=r"lives on login9 .*its heartbeat moves.*nunatak broker stop") as error:
        ensure_broker(home, ServerSettings(), LEASE, sleep=sleep, notice=notices.append)
    assert HERE in str(error.value)
    assert ["200 s" in n for n in notices] == [True]
    assert parts.servers(home) == supervisors(home) == []
    assert epochs.epochs(home) == [1]


def test_a_broker_on_another_host_that_stood_still_is_taken_over_with_its_data(home: Home):
    dead_on_another_host(home)
    old = {p: p.read_bytes() for p in home.epoch_dir(1).rglob("*") if p.is_file()}
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    address = ensure_broker(home, ServerSettings(), LEASE, sleep=sleep, clock=lambda: now)
    assert now >= 200.0
    assert (address.epoch, address.host) == (2, HERE)
    assert get(home, "x") == "1"
    put(home, "y", "2")
    assert {p: p.read_bytes() for p in home.epoch_dir(1).rglob("*") if p.is_file()} == old
    stored: Any = open_client(home)
    assert (stored.hget(keys.BEAT, "epoch"), int(stored.hget(keys.BEAT, "counter")) > 7) == ("2", True)
    stored.close()


def test_a_broker_that_was_stopped_in_good_order_elsewhere_moves_at_once(home: Home):
    ensure(home)
    put(home, "x", "1")
    stop_broker(home, force=False)
    on_another_host(home)

    notices: list[str] = []
    address = ensure_broker(home, ServerSettings(), LEASE, notice=notices.append)
    assert notices == []
    assert (address.epoch, address.host) == (2, HERE)
    assert get(home, "x") == "1"


def test_a_lost_address_file_is_no_reason_to_forget_the_data(home: Home):
    ensure(home)
    put(home, "x", "1")
    parts.kill_broker(home)
    home.address_file.unlink()
    ensure_broker(home, ServerSettings(), LEASE, still_s=0.05)
    assert get(home, "x") == "1"


def test_a_server_left_over_from_an_earlier_epoch_is_stopped_and_not_forgotten(home: Home):
    first = ensure(home)
    put(home, "x", "1")
    kill(first.supervisor_pid, lambda: supervisors(home))
    home.address_file.unlink()
    second = ensure_broker(home, ServerSettings(), LEASE, still_s=0.05)
    assert parts.servers(home) == [second.server_pid]
    assert get(home, "x") == "1"
