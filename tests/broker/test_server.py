"""The server's conf, its start and end, and what it keeps when it is killed."""

import dataclasses
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import servers
from redis.exceptions import RedisError
from servers import Server, wait_until

from broker import process
from broker.home import Home
from broker.server import ServerConf, ServerProcess, choose_port, conf_file, most_clients, quote, render, usable_socket

CONF = ServerConf(
    directory=Path("/h/epoch-1"), socket=Path("/tmp/n/s.sock"), port=4242, bind="loopback", fsync="always", password="secret",
    maxclients=1000, log_file=Path("/h/server.log"), version=(9, 1, 2),
)
#: A script with several writes: what `user default off` would lose silently when the AOF is replayed.
PAIR = """
redis.call('SET', 'a:' .. ARGV[1], '1')
redis.call('SET', 'b:' .. ARGV[1], '1')
return redis.call('INCR', 'n')
"""


def lines(conf: ServerConf) -> list[str]:
    return render(conf).splitlines()


# -- the conf file's text ---------------------------------------------------------------------------------------------------------------


def test_nothing_acknowledged_is_only_in_memory_and_nothing_is_evicted():
    for line in ("appendonly yes", "appendfsync always", "no-appendfsync-on-rewrite no", 'save ""', "maxmemory-policy noeviction"):
        assert line in lines(CONF)


def test_it_is_reached_with_the_password_only_and_from_this_machine_only_unless_told():
    assert 'requirepass "secret"' in lines(CONF)
    assert "bind 127.0.0.1 -::1" in lines(CONF)
    assert "bind * -::*" in lines(dataclasses.replace(CONF, bind="all"))
    assert "unixsocketperm 700" in lines(CONF)
    assert not any(line.startswith("unixsocket") for line in lines(dataclasses.replace(CONF, socket=None)))


def test_a_server_of_6_2_is_told_in_its_own_words():
    assert "hash-max-listpack-value 1024" in lines(CONF)
    old = lines(dataclasses.replace(CONF, version=(6, 2, 14)))
    assert "hash-max-ziplist-value 1024" in old
    assert "hash-max-ziplist-entries 128" in old
    assert not any("listpack" in line for line in old)


def test_any_bytes_can_stand_in_a_value():
    assert quote("plain/path") == '"plain/path"'
    assert quote('a "b" \\ c\n') == '"a \\x22b\\x22 \\x5c c\\x0a"'
    assert quote(os.fsdecode(b"/\xff")) == '"/\\xff"'


@pytest.mark.parametrize(("limit", "expected"), [
    (resource.RLIM_INFINITY, 50_000), (1_000_000, 50_000), (4096, 4032), (20_000, 19_936), (100, 64),
])
def test_the_limit_on_open_files_bounds_the_clients(limit, expected):
    assert most_clients(limit) == expected


def test_a_socket_path_that_is_too_long_is_left_out(tmp_path):
    assert usable_socket(tmp_path / ("x" * 120) / "s.sock") is None
    assert usable_socket(tmp_path / "d" / "s.sock") == tmp_path / "d" / "s.sock"


def test_the_port_is_kept_while_it_is_free_and_another_is_found_if_not():
    port = choose_port(0, "loopback")
    assert choose_port(port, "loopback") == port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert choose_port(port, "loopback", patience_s=0.05) not in (port, 0)


def test_a_port_that_is_about_to_be_free_is_waited_for():
    port = choose_port(0, "loopback")
    taken = socket.socket()
    taken.bind(("127.0.0.1", port))
    taken.listen()
    threading.Timer(0.05, taken.close).start()
    assert choose_port(port, "loopback", patience_s=5.0) == port


# -- the process ------------------------------------------------------------------------------------------------------------------------


def test_the_running_server_has_the_settings_of_the_conf(server: Server):
    client = server.client()
    # The old names are understood by every version.
    expected = {"appendonly": "yes", "appendfsync": "always", "save": "", "maxmemory-policy": "noeviction", "maxclients": "512",
                "hash-max-ziplist-value": "1024", "hash-max-ziplist-entries": "128", "set-proc-title": "no"}
    assert {name: client.config_get(name)[name] for name in expected} == expected


def test_the_password_is_in_no_argv_and_its_files_are_for_the_owner_only(server: Server):
    assert process.argv(server.pid)[1:] == [str(conf_file(server.directory))]
    assert server.password not in " ".join(process.argv(server.pid))
    assert server.password in conf_file(server.directory).read_text()
    for path in conf_file(server.directory), server.home.password_file, server.logfile:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert server.password not in server.logfile.read_text()


def test_nobody_gets_in_without_the_password(server: Server):
    server.password = ""
    for tcp in (False, True):
        with pytest.raises(RedisError, match=r"[Aa]uthenticat"):
            server.client(tcp=tcp).ping()


def test_it_runs_in_a_session_of_its_own(server: Server):
    assert os.getsid(server.pid) == server.pid


def test_a_running_server_is_found_by_its_folder_and_a_killed_one_is_not(server: Server):
    found = ServerProcess.found(server.directory)
    assert found is not None
    assert found.pid == server.pid
    assert found.is_alive
    server.kill9()
    assert not found.is_alive
    assert ServerProcess.found(server.directory) is None


def test_a_number_used_again_by_a_stranger_is_not_taken_for_the_server(server: Server):
    stranger = ServerProcess(os.getpid(), server.directory)
    assert not stranger.is_alive
    assert stranger.stop(0.1)


def test_no_acknowledged_write_is_lost_when_it_is_killed(server: Server):
    acknowledged: list[int] = []

    def write() -> None:
        client = server.client()
        call = client.register_script(PAIR)
        try:
            for i in range(100_000):
                call(args=[i])
                acknowledged.append(i)
        except RedisError:
            pass  # the kill

    writer = threading.Thread(target=write)
    writer.start()
    while len(acknowledged) < 300 and writer.is_alive():
        writer.join(0.01)
    server.kill9()
    writer.join()
    assert len(acknowledged) >= 300
    server.restart()
    client = server.client()
    # Every write of every script, not only the first: that is what is lost when the replay runs as a user who may do nothing.
    pairs = client.mget([f"{half}:{i}" for i in acknowledged for half in "ab"])
    assert pairs.count(None) == 0
    assert int(client.get("n")) in (len(acknowledged), len(acknowledged) + 1)


def test_a_transaction_survives_too(server: Server):
    client = server.client()
    pipe = client.pipeline(transaction=True)
    for name in "xyz":
        pipe.set(name, "1")
    pipe.execute()
    server.kill9()
    server.restart()
    assert server.client().mget("x", "y", "z") == ["1", "1", "1"]


def test_it_comes_back_on_its_port_and_socket(server: Server):
    port = server.port
    server.client().set("x", "1")
    server.restart()
    assert server.port == port
    assert server.client(tcp=True).get("x") == "1"


def test_a_stopped_process_hangs_and_goes_on(server: Server):
    client = server.client(timeout_s=0.2)
    client.set("x", "1")
    server.sigstop()
    with pytest.raises(RedisError, match=r"[Tt]imeout"):
        client.get("x")
    server.sigcont()
    assert server.client().get("x") == "1"


def test_a_test_that_is_killed_leaves_no_server_behind(home: Home):
    code = ("import sys, time; sys.path.insert(0, sys.argv[1]); from pathlib import Path; from broker.home import Home; import servers;"
            "s = servers.Server(Home(Path(sys.argv[2]))); s.start(); print(s.pid, flush=True); time.sleep(60)")
    tests = str(Path(servers.__file__).parent)
    with subprocess.Popen([sys.executable, "-I", "-c", code, tests, str(home.root)], stdout=subprocess.PIPE, text=True) as test:
        assert test.stdout is not None
        pid = int(test.stdout.readline())
        assert process.argv(pid)
        test.kill()
    wait_until(lambda: not process.argv(pid), 5, "the server of a killed test to end")
