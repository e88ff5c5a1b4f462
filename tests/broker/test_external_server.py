"""A server that is somebody else's: minded, and never stopped."""


import pytest
import servers as parts
from broker_steps import LEASE, ensure
from servers import Server, supervisors

from broker import process
from broker.client import answering_endpoint, open_client
from broker.errors import BrokerBusy, NoServer, Unreachable
from broker.home import Home
from broker.lock import SUPERVISOR
from broker.scripts import Scripts
from broker.settings import ServerSettings
from broker.start import ensure_broker, stop_broker

# -- somebody else's server -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def external():
    """A home without a server of its own."""
    with parts.temporary_home() as home:
        home.password_file.unlink()
        yield home


def test_an_external_server_is_minded_and_never_stopped(server: Server, external: Home):
    settings = ServerSettings(url=server.url)
    address = ensure_broker(external, settings, LEASE)
    assert (address.url, address.epoch) == (server.url, 0)
    assert ensure_broker(external, settings, LEASE) == address
    assert process.argv(address.supervisor_pid)[3] == SUPERVISOR
    assert server.password not in " ".join(process.argv(address.supervisor_pid))
    assert Scripts(open_client(external)).reap() == []
    assert answering_endpoint(external).port == server.port
    assert not external.password_file.exists()
    with pytest.raises(BrokerBusy, match="external server"):
        ensure(external)
    stop_broker(external, force=False)
    assert supervisors(external) == []
    assert server.client().ping()
    assert not external.address_file.exists()


def test_an_external_server_that_throws_data_away_is_refused(server: Server, external: Home):
    client = server.client()
    client.config_set("maxmemory", "100mb")
    client.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(NoServer, match="allkeys-lru"):
        ensure_broker(external, ServerSettings(url=server.url), LEASE)


def test_an_external_server_that_is_not_there_is_unreachable_without_its_password(server: Server, external: Home):
    server.kill9()
    with pytest.raises(Unreachable) as error:
        ensure_broker(external, ServerSettings(url=server.url), LEASE)
    assert server.password not in str(error.value)
