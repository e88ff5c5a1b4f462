"""Stopping the broker: with the real daemon and the real server."""

import os
import signal

import pytest
import servers as parts
from broker_steps import ensure, get, kill, put
from servers import address_of, supervisors, wait_until

from broker.client import open_client
from broker.errors import BrokerBusy
from broker.home import Home
from broker.ledger import Ledger
from broker.start import broker_status, stop_broker

# -- stopping ---------------------------------------------------------------------------------------------------------------------------


def test_a_stopped_broker_is_gone_and_comes_back_on_its_port_with_its_data(home: Home):
    before = ensure(home)
    put(home, "x", "1")
    stop_broker(home, force=False)
    assert parts.servers(home) == supervisors(home) == []
    assert (address_of(home).is_stopped, address_of(home).is_wanted) == (True, False)
    status = broker_status(home)
    assert not status.running
    assert "was stopped on" in status.reason
    stop_broker(home, force=False)  # nothing to do
    after = ensure(home)
    assert (after.port, after.epoch) == (before.port, 1)
    assert get(home, "x") == "1"


def test_a_supervisor_that_is_told_to_end_takes_its_server_with_it(home: Home):
    address = ensure(home)
    os.kill(address.supervisor_pid, signal.SIGTERM)
    wait_until(lambda: not supervisors(home), 10, "the supervisor to end")
    assert parts.servers(home) == []
    # Whoever ends it so does not say that nobody wants it: a login host that sweeps does the same.
    assert (address_of(home).is_stopped, address_of(home).is_wanted) == (True, True)
    assert "bye" in home.server_log.read_text()
    stop_broker(home, force=False)
    assert (address_of(home).is_stopped, address_of(home).is_wanted) == (True, False)
    assert not ensure(home).is_wanted


def test_a_broker_with_live_blocks_is_not_stopped_unless_forced(home: Home):
    ensure(home)
    client = open_client(home)
    Ledger(client).record_block("b7", {"site": "stampede", "submitted_at": "1"})
    client.close()
    with pytest.raises(BrokerBusy, match=r"b7.*--force"):
        stop_broker(home, force=False)
    assert broker_status(home).running
    stop_broker(home, force=True)
    assert parts.servers(home) == []


def test_a_server_without_supervisor_is_stopped_too(home: Home):
    address = ensure(home)
    kill(address.supervisor_pid, lambda: supervisors(home))
    stop_broker(home, force=False)
    assert parts.servers(home) == []


def test_a_dead_broker_is_put_down_as_stopped(home: Home):
    ensure(home)
    parts.kill_broker(home)
    stop_broker(home, force=False)
    assert address_of(home).is_stopped
