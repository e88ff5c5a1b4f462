"""Stopping the broker, wherever it runs."""

import signal
import time
from dataclasses import replace
from typing import Any

from broker import address as addresses
from broker import process
from broker.address import Address, read_address, write_address
from broker.client import answering
from broker.errors import BrokerBusy, BrokerError, Unreachable
from broker.home import Home
from broker.keys import BEAT
from broker.ledger import Ledger
from broker.lock import SUPERVISOR
from broker.scripts import translated
from broker.server import ServerProcess
from broker.supervisor import STOP_FIELD

#: A supervisor looks for the request with each beat; then the server flushes its AOF.
_OBEY_S = 60.0
_END_S = 90.0


def stop_broker(home: Home, force: bool) -> None:
    """Stop supervisor and server in good order; nothing to do if none runs.

    Raises BrokerBusy while blocks live, unless forced: their jobfiles would run on, but nothing new would be started. Raises Unreachable if
    that cannot be found out, or if the broker lives on another host and does not answer.
    """
    address = read_address(home)
    if address is None or address.is_stopped:
        if address is not None and address.is_wanted:
            _write_stopped(home, address, wanted=False)
        return
    client = _client(home, address, force)
    if client is not None and not force:
        _refuse_while_blocks_live(client)
    if address.url:
        _stop_supervisor(address)
        home.address_file.unlink(missing_ok=True)
    elif address.host == addresses.this_host():
        stop_here(home, address)
    else:
        _stop_there(home, address, client)


def _client(home: Home, address: Address, force: bool) -> Any:
    """A client, or None if it does not matter that there is none."""
    try:
        return answering(home, address, 10.0)[1]
    except Unreachable:
        if address.host == addresses.this_host() and (force or not _anything_here(home, address)):
            return None
        if address.url and force:
            return None
        raise


def _anything_here(home: Home, address: Address) -> bool:
    return process.is_running(address.supervisor_pid, SUPERVISOR) or ServerProcess.found(home.epoch_dir(address.epoch)) is not None


def _refuse_while_blocks_live(client: Any) -> None:
    blocks = Ledger(client).live_blocks()
    if blocks:
        raise BrokerBusy(
            f"{len(blocks)} block(s) live ({', '.join(blocks[:5])}{', …' if len(blocks) > 5 else ''}): "
            "let them end first, or stop with --force; what runs would run on, nothing new would be started"
        )


def _stop_supervisor(address: Address) -> None:
    if address.host != addresses.this_host() or not process.send(address.supervisor_pid, SUPERVISOR, signal.SIGTERM):
        return
    if not process.wait_gone(address.supervisor_pid, SUPERVISOR, _END_S):
        raise BrokerError(f"the supervisor (pid {address.supervisor_pid}) has not ended within {_END_S:g} s: is the filesystem well?")


def stop_here(home: Home, address: Address, *, wanted: bool = False) -> None:
    """Stop supervisor and server of this host in good order; `wanted`: to be started elsewhere. Raises BrokerError if one does not end."""
    _stop_supervisor(address)
    left = ServerProcess.found(home.epoch_dir(address.epoch))
    if left is not None and not left.stop(_END_S):
        raise BrokerError(f"the server (pid {left.pid}) has not ended within {_END_S:g} s: is the filesystem well?")
    _write_stopped(home, address, wanted=wanted)


def _stop_there(home: Home, address: Address, client: Any) -> None:
    """Ask its supervisor through the server; if it has none, stop the server itself."""
    with translated():
        client.hset(BEAT, STOP_FIELD, client.info("server")["run_id"])
    end = time.monotonic() + _OBEY_S
    while time.monotonic() < end:
        now = read_address(home)
        if now is None or now.is_stopped:
            return
        time.sleep(0.5)
    with translated():
        client.shutdown(nosave=True)
    _write_stopped(home, address, wanted=False)


def _write_stopped(home: Home, address: Address, *, wanted: bool) -> None:
    now = read_address(home)
    # Somebody may have started it again in this moment: that one is not stopped.
    if now is not None and now.epoch == address.epoch and (now.is_stopped or now.server_pid == address.server_pid):
        write_address(home, replace(now, server_pid=0, supervisor_pid=0, is_wanted=wanted))
