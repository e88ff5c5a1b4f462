"""The address file, the password file, and the choice of an address that answers."""

import dataclasses
import os
import socket
import stat
import threading

import pytest
import servers
from redis.exceptions import ConnectionError
from servers import Server, address_of

from broker import address as addresses
from broker.address import Address, candidates, interfaces, read_address, shared_bits, write_address
from broker.client import answering_endpoint, external_endpoint, open_client
from broker.errors import BrokerError, Unreachable
from broker.home import Home
from broker.private import private_dir
from broker.secret import password

ADDRESS = Address(
    epoch=3, hosts=("10.0.0.1", "192.168.7.1"), port=4242, socket="/tmp/s", host="login1", server_pid=7, supervisor_pid=8, started_at=1.5
)


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# -- files ------------------------------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_and_for_its_owner_only(home: Home):
    assert read_address(home) is None
    write_address(home, ADDRESS)
    assert read_address(home) == ADDRESS
    assert mode(home.address_file) == 0o600


def test_a_path_that_is_not_utf8_survives(home: Home):
    odd = dataclasses.replace(ADDRESS, socket=os.fsdecode(b"/tmp/\xff\xfe.sock"))
    write_address(home, odd)
    assert read_address(home) == odd


@pytest.mark.parametrize("text", ["", "{", "[]", '{"epoch": 1}', '{"hosts": [], "surprise": 1}'])
def test_an_address_file_that_is_none_is_named_in_the_error(home: Home, text):
    home.address_file.write_text(text)
    with pytest.raises(Unreachable, match=r"address\.json is not an address file"):
        read_address(home)


def test_a_home_whose_filesystem_is_away_is_unreachable_and_no_other_error(home: Home):
    home.address_file.mkdir()
    with pytest.raises(Unreachable, match="is the filesystem"):
        open_client(home)


def test_the_password_file_is_for_its_owner_only_and_stays(home: Home):
    assert mode(home.password_file) == 0o600
    assert password(home, create=True) == password(home, create=False)
    assert len(password(home, create=False)) >= 32


def test_many_that_make_the_password_at_once_agree_on_one(home: Home):
    home.password_file.unlink()
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(password(home, create=True))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [p.name for p in home.root.glob(".password-*")] == []


def test_a_password_that_others_can_read_is_refused(home: Home):
    home.password_file.chmod(0o644)
    with pytest.raises(BrokerError, match=r"can be read by others \(mode 644\)"):
        password(home, create=False)


def test_a_missing_password_says_what_to_do(home: Home):
    home.password_file.unlink()
    with pytest.raises(BrokerError, match="nunatak broker start"):
        password(home, create=False)


def test_a_folder_that_others_may_enter_or_that_is_a_link_is_refused(tmp_path):
    mine = private_dir(tmp_path / "mine")
    assert mode(mine) == 0o700
    assert private_dir(mine) == mine
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(BrokerError, match="open to others"):
        private_dir(tmp_path / "open")
    (tmp_path / "link").symlink_to(mine)
    with pytest.raises(BrokerError, match="not a folder of ours"):
        private_dir(tmp_path / "link")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a folder that is somebody else's")
def test_a_folder_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.chown(tmp_path / "theirs", 12345, 12345)
    with pytest.raises(BrokerError, match=r"not a folder of ours \(owner 12345\)"):
        private_dir(tmp_path / "theirs")


# -- which address ----------------------------------------------------------------------------------------------------------------------


def test_interfaces_are_addresses_of_this_machine_without_loopback():
    for found in interfaces():
        family = socket.AF_INET6 if ":" in found else socket.AF_INET
        with socket.socket(family) as probe:
            probe.bind((found, 0))
        assert found not in ("127.0.0.1", "::1")


@pytest.mark.parametrize(("one", "other", "bits"), [
    ("10.1.2.3", "10.1.2.3", 32), ("10.1.2.3", "10.1.3.3", 23), ("10.1.2.3", "138.0.0.1", 0),
    ("10.1.2.3", "", -1), ("fd00::1", "10.0.0.1", -1),
])
def test_nearer_addresses_share_more_bits(one, other, bits):
    assert shared_bits(one, other) == bits


def test_on_its_own_host_the_loopback_is_tried_first_and_elsewhere_never():
    both = dataclasses.replace(ADDRESS, hosts=("127.0.0.1", "10.0.0.1"))
    assert candidates(both, "login1") == ("127.0.0.1", "10.0.0.1")
    assert candidates(both, "c101-001") == ("10.0.0.1",)


def test_the_nearest_network_is_tried_first(monkeypatch):
    monkeypatch.setattr(addresses, "source_address", lambda target: "192.168.1.9" if target.startswith("192.168") else "138.1.1.1")
    assert candidates(ADDRESS, "c101-001") == ("192.168.7.1", "10.0.0.1")


def test_the_client_uses_the_socket_here_and_tcp_for_the_endpoint(server: Server):
    client = open_client(server.home)
    assert client.connection_pool.connection_kwargs["path"] == str(server.socket)
    endpoint = answering_endpoint(server.home)
    assert (endpoint.host, endpoint.port, endpoint.password) == ("127.0.0.1", server.port, server.password)
    client.close()


def test_a_dead_address_is_passed_over(server: Server):
    address = address_of(server.home)
    # 127.0.0.1 is put first for this host; the socket is gone as a cleaner of /tmp leaves it.
    write_address(server.home, dataclasses.replace(address, socket="/nonexistent/s", hosts=("127.0.0.9", "127.0.0.1")))
    client = open_client(server.home)
    assert client.ping()
    client.close()


def test_names_that_are_not_utf8_go_through_the_client(server: Server):
    client = open_client(server.home)
    odd = os.fsdecode(b"/scratch/\xff\xe9.sh")
    client.set("odd", odd)
    assert client.get("odd") == odd
    client.close()


def test_the_client_repeats_nothing_by_itself(server: Server):
    client = open_client(server.home)
    retry = client.connection_pool.connection_kwargs["retry"]
    assert retry._retries == 0
    server.kill9()
    with pytest.raises(ConnectionError):
        client.incr("x")
    client.close()


def test_an_unreachable_broker_names_every_address_and_its_host(server: Server):
    server.kill9()
    with pytest.raises(Unreachable) as error:
        open_client(server.home)
    for words in (str(server.socket), f"127.0.0.1:{server.port}", f"last seen on {addresses.this_host()}", "nunatak broker start"):
        assert words in str(error.value)


def test_a_server_that_hangs_is_unreachable_within_the_timeout(server: Server):
    server.sigstop()
    with pytest.raises(Unreachable, match=r"[Tt]imeout"):
        open_client(server.home, timeout_s=0.2)


def test_a_wrong_password_is_unreachable_and_not_in_the_text(server: Server):
    server.home.password_file.write_text("another-password-entirely\n")
    with pytest.raises(Unreachable) as error:
        open_client(server.home)
    assert "WRONGPASS" in str(error.value) or "invalid" in str(error.value)
    assert "another-password" not in str(error.value)


def test_no_broker_yet_and_a_stopped_one_say_so(home: Home):
    with pytest.raises(Unreachable, match=r"no broker was started .* nunatak broker start"):
        open_client(home)
    write_address(home, dataclasses.replace(ADDRESS, server_pid=0))
    with pytest.raises(Unreachable, match="is stopped"):
        open_client(home)


def test_a_broker_for_its_own_machine_only_says_so_elsewhere(server: Server, monkeypatch):
    monkeypatch.setattr(addresses, "this_host", lambda: "c101-001")
    with pytest.raises(Unreachable, match="listens on that machine only"):
        open_client(server.home)


def test_an_external_url_is_taken_apart(home: Home):
    own = password(home, create=False)
    assert external_endpoint(home, "redis://h:1234/2").password == own
    full = external_endpoint(home, "rediss://me:p%40ss@h.example/3")
    assert (full.host, full.port, full.username, full.password, full.db, full.tls) == ("h.example", 6379, "me", "p@ss", 3, True)
    for bad in ("http://h", "redis://", "redis://h:port", "redis://h/zero"):
        with pytest.raises(BrokerError, match="redis://:PASSWORD@HOST:PORT/0") as error:
            external_endpoint(home, bad)
        assert own not in str(error.value)


def test_waiting_prints_the_last_value():
    with pytest.raises(pytest.fail.Exception, match="for three; last seen: 0"):
        servers.wait_until(lambda: 0, 0.01, "three")
