"""The transport overrides internals of kombu; this fails when they are not what it was written and tested against.

After a change of kombu's version: read the difference in what is named here, run tests/broker/test_transport_faults.py, then write the new
digests down (the failure prints them) and pin the version in pyproject.toml.
"""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

import kombu
import pytest
from kombu.transport import redis as stock
from kombu.transport import virtual

from broker import transport

TESTED = "5.7.0"

#: What our code overrides, calls, or relies on to call it at the right moment.
DIGESTS = {
    "Channel.__init__": "30edf0330de7",
    "Channel._brpop_read": "b685e3bc0da8",
    "Channel._brpop_start": "74eac49cc1a5",
    "Channel._connparams": "697df5070c59",
    "Channel._create_client": "04eb80037abe",
    "Channel._delete": "dad508e5a587",
    "Channel._get": "15bbfb0b3247",
    "Channel._has_queue": "f55374ed19ec",
    "Channel._purge": "baad25a787dd",
    "Channel._put": "059b0c04b7c7",
    "Channel._size": "47fc1da9b008",
    "Channel.basic_consume": "f74e8228f8ac",
    "Channel.close": "1e917d4954c6",
    "MultiChannelPoller._register_BRPOP": "0050c754a8b5",
    "MultiChannelPoller._update_brpop_polling": "b2e3c0e88621",
    "MultiChannelPoller.maybe_check_brpop_health": "70005e2f864b",
    "MultiChannelPoller.on_poll_start": "69a6ce347979",
    "MultiChannelPoller.on_readable": "36afcfe221f9",
    "QoS.ack": "d2308df90fe3",
    "QoS.append": "fc9897cf221c",
    "QoS.can_consume": "c41441d18aff",
    "QoS.reject": "44a75176e33a",
    "QoS.restore_unacked": "45b2d2db36ca",
    "QoS.restore_visible": "ab6268da8cec",
    "Transport.register_with_event_loop": "e92dd8b8839d",
    "virtual.QoS.ack": "421b4ed45f27",
    "virtual.QoS.append": "6b3f18ae40c5",
    "virtual.QoS.restore_unacked_once": "5d6e7fc285fa",
    "virtual.Transport._deliver": "d94ece706f80",
}


def relied_on() -> dict[str, Callable[..., Any]]:
    ours = {
        "Channel": (transport.Channel, stock.Channel),
        "QoS": (transport.QoS, stock.QoS),
        "Transport": (transport.Transport, stock.Transport),
    }
    found = {
        f"{name}.{method}": inspect.getattr_static(base, method)
        for name, (mine, base) in ours.items()
        for method in vars(mine)
        if inspect.isfunction(vars(mine)[method]) and hasattr(base, method)
    }
    for method in ("on_poll_start", "_register_BRPOP", "_update_brpop_polling", "maybe_check_brpop_health", "on_readable"):
        found[f"MultiChannelPoller.{method}"] = getattr(stock.MultiChannelPoller, method)
    for method in ("append", "ack", "restore_unacked_once"):
        found[f"virtual.QoS.{method}"] = getattr(virtual.QoS, method)
    found["virtual.Transport._deliver"] = virtual.Transport._deliver
    return found


def digest(function: Callable[..., Any]) -> str:
    return hashlib.blake2b(inspect.getsource(function).encode(), digest_size=6).hexdigest()


def test_kombu_is_the_version_that_the_transport_was_tested_with() -> None:
    assert kombu.__version__ == TESTED


@pytest.mark.parametrize("name", sorted(relied_on()))
def test_an_internal_of_kombu_is_as_it_was(name: str) -> None:
    assert digest(relied_on()[name]) == DIGESTS.get(name), f"{name} of kombu has changed, or is newly overridden"


def test_every_internal_that_was_relied_on_is_still_there() -> None:
    assert set(DIGESTS) <= set(relied_on())
