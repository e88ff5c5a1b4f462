"""Starting, finding, stopping the broker: with the real daemon and the real server."""

import dataclasses
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import servers as parts
from servers import Server, address_of, supervisors, wait_until

from broker import epoch as epochs
from broker import keys, process
from broker.address import Address, interfaces, this_host, write_address
from broker.client import answering_endpoint, open_client
from broker.errors import BrokerBusy, BrokerError, NoServer, Unreachable
from broker.heartbeat import Heartbeat, write_heartbeat
from broker.home import Home
from broker.ledger import Ledger
from broker.lock import SUPERVISOR
from broker.plan import Plan
from broker.scripts import Scripts
from broker.settings import LeaseSettings, ServerSettings
from broker.start import Answer, Seen, Step, ask, broker_status, decide, ensure_broker, stop_broker

LEASE = LeaseSettings()
HERE = this_host()


def ensure(home: Home, **settings: Any) -> Address:
    return ensure_broker(home, ServerSettings(**settings), LEASE)


def get(home: Home, key: str) -> Any:
    client: Any = open_client(home)
    try:
        return client.get(key)
    finally:
        client.close()


def put(home: Home, key: str, value: str) -> None:
    client: Any = open_client(home)
    client.set(key, value)
    client.close()


def kill(pid: int, gone: Callable[[], object]) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not gone(), 5, f"{pid} to be gone")


def on_another_host(home: Home, **changes: Any) -> None:
    """As if the broker of the address file had been started on login9."""
    write_address(home, dataclasses.replace(address_of(home), host="login9", **changes))


# -- the decision -----------------------------------------------------------------------------------------------------------------------

LIVING = Address(epoch=3, hosts=("10.0.0.1",), port=1, socket="/s", host="here", server_pid=7, supervisor_pid=8, started_at=0.0)
ELSEWHERE = dataclasses.replace(LIVING, host="there")
SEEN = Seen(address=LIVING, answer=Answer.NONE, words="", host="here", newest=3, complete=True, supervisor_lives=False)


@pytest.mark.parametrize(("step", "changes"), [
    (Step.SUPERVISE, {"address": None, "newest": 0}),
    (Step.WATCH, {"address": None}),
    (Step.ADOPT, {"answer": Answer.FRESH, "supervisor_lives": True}),
    (Step.SUPERVISE, {"answer": Answer.FRESH}),
    (Step.WAIT, {"supervisor_lives": True}),
    (Step.WAIT, {"supervisor_lives": True, "answer": Answer.STALE}),
    (Step.SUPERVISE, {}),
    (Step.SUPERVISE, {"address": dataclasses.replace(LIVING, server_pid=0)}),
    (Step.WATCH, {"newest": 4}),
    (Step.WATCH, {"newest": 4, "answer": Answer.STALE}),
    (Step.WATCH, {"complete": False}),
    (Step.ADOPT, {"address": ELSEWHERE, "answer": Answer.FRESH}),
    (Step.SUPERVISE, {"address": ELSEWHERE, "answer": Answer.STALE}),
    (Step.WATCH, {"address": ELSEWHERE}),
    (Step.MOVE, {"address": dataclasses.replace(ELSEWHERE, server_pid=0)}),
    (Step.SUPERVISE, {"address": dataclasses.replace(ELSEWHERE, url="redis://h")}),
])
def test_what_is_seen_decides_what_is_done(step, changes):
    assert decide(dataclasses.replace(SEEN, **changes)) is step


# -- starting ---------------------------------------------------------------------------------------------------------------------------


def test_the_first_command_starts_a_broker_and_the_next_ones_use_it(home: Home):
    first = ensure(home)
    assert ensure(home) == first
    client = open_client(home)
    assert Scripts(client).reap() == []  # there is a fresh beat
    client.close()
    assert answering_endpoint(home).port == first.port
    status = broker_status(home)
    assert (status.running, status.pid, status.supervisor_pid) == (True, first.server_pid, first.supervisor_pid)
    assert status.beat_age_s is not None
    assert 0 <= status.beat_age_s < 15
    assert status.memory_bytes > 0
    assert status.aof_bytes > 0
    assert status.version == ".".join(str(n) for n in parts.binary().version)


def test_commands_that_start_at_once_end_with_one_broker(home: Home):
    found: list[Address] = []
    threads = [threading.Thread(target=lambda: found.append(ensure(home))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert {(a.server_pid, a.supervisor_pid, a.port) for a in found} == {(found[0].server_pid, found[0].supervisor_pid, found[0].port)}
    assert parts.servers(home) == [found[0].server_pid]
    wait_until(lambda: supervisors(home) == [found[0].supervisor_pid], 5, "the others to leave")


def test_the_password_is_in_no_command_line_and_no_environment(home: Home):
    address = ensure(home)
    secret = home.password_file.read_text().strip()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            assert secret not in " ".join(process.argv(int(folder.name)))
    for pid in address.server_pid, address.supervisor_pid:
        assert secret.encode() not in Path(f"/proc/{pid}/environ").read_bytes()


def test_every_file_of_the_home_is_for_its_owner_only(home: Home):
    ensure(home)
    for path in [home.root, *home.root.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE(home.socket_file.parent.stat().st_mode) == 0o700


def test_server_and_supervisor_belong_to_nobody_and_hold_nothing_of_their_starter(home: Home):
    read, write = os.pipe()
    os.set_inheritable(write, True)
    address = ensure(home)
    os.close(write)
    assert os.read(read, 1) == b""  # they do not have it: the end is seen at once
    os.close(read)
    for pid in address.server_pid, address.supervisor_pid:
        assert Path(f"/proc/{pid}/cwd").readlink() in (Path("/"), home.epoch_dir(1))
        assert os.getsid(pid) != os.getsid(0)
        fds = {n: os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")}
        assert fds["0"] == "/dev/null"
        assert home.supervisor_lock.name not in "".join(fds.values()) or pid == address.supervisor_pid
    assert process.parent(address.supervisor_pid) != os.getpid()
    assert os.getsid(address.supervisor_pid) != address.supervisor_pid  # no session's leader: no terminal can be caught


def test_a_server_that_lost_its_supervisor_gets_a_new_one_and_lives_on(home: Home):
    before = ensure(home)
    put(home, "x", "1")
    kill(before.supervisor_pid, lambda: supervisors(home))
    after = ensure(home)
    assert after.server_pid == before.server_pid
    assert after.supervisor_pid != before.supervisor_pid
    assert supervisors(home) == [after.supervisor_pid]
    assert get(home, "x") == "1"


def test_the_supervisor_starts_a_killed_server_again_with_all_it_had(home: Home):
    before = ensure(home)
    put(home, "x", "1")
    kill(before.server_pid, lambda: process.argv(before.server_pid))
    wait_until(lambda: address_of(home).server_pid != before.server_pid, 10, "a new server in the address file")
    wait_until(lambda: ask(home, address_of(home))[0] is Answer.FRESH, 10, "a beat")
    after = address_of(home)
    assert (after.port, after.epoch, after.supervisor_pid) == (before.port, 1, before.supervisor_pid)
    assert get(home, "x") == "1"


def test_when_both_were_killed_a_command_brings_all_of_it_back(home: Home):
    before = ensure(home)
    put(home, "x", "1")
    parts.kill_broker(home)
    after = ensure(home)
    assert (after.port, after.epoch) == (before.port, 1)
    assert get(home, "x") == "1"


def test_a_broker_started_for_this_machine_is_opened_to_others_when_that_is_asked_for(home: Home):
    first = ensure(home)
    put(home, "x", "1")
    second = ensure(home, bind="all")
    assert (second.port, second.hosts) == (first.port, interfaces())
    assert get(home, "x") == "1"
    # And whoever asks for less changes nothing, not even when the server has died meanwhile.
    assert ensure(home) == second
    parts.kill_broker(home)
    assert ensure(home).hosts == interfaces()


def test_no_usable_server_is_said_in_the_command_that_needs_one(home: Home, monkeypatch):
    monkeypatch.setenv("NUNATAK_REDIS_SERVER", "/bin/false")
    with pytest.raises(NoServer, match=r"/bin/false: --version ended with 1"):
        ensure(home)
    wait_until(lambda: not supervisors(home), 5, "the supervisor to end")


def test_a_server_that_does_not_start_is_reported_with_its_last_words(home: Home, tmp_path, monkeypatch):
    fake = tmp_path / "redis-server"
    fake.write_text(
        '#!/bin/sh\ncase $1 in --version) echo "Redis server v=7.2.0 sha=0";; *) echo "Bad file format reading the AOF"; exit 1;; esac\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("NUNATAK_REDIS_SERVER", str(fake))
    with pytest.raises(BrokerError, match=r"(?s)ended at once \(exit 1\).*Bad file format reading the AOF"):
        ensure(home)
    monkeypatch.delenv("NUNATAK_REDIS_SERVER")
    assert ensure(home).server_pid in parts.servers(home)


def test_a_plan_survives_the_command_line_and_holds_no_secret(home: Home):
    odd = Home(Path(os.fsdecode(b"/h/\xff")))
    plan = Plan(home=odd, server=ServerSettings(url="redis://:secret@h"), lease=LeaseSettings(max_losses=7), still_at=3)
    assert "secret" not in plan.to_json()
    assert plan.to_json().isascii()
    back = Plan.from_json(plan.to_json())
    assert (back.home, back.lease, back.still_at) == (odd, plan.lease, 3)
    assert home.root != odd.root


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
    assert parts.servers(home) == supervisors(home) == []


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


# -- from anywhere ----------------------------------------------------------------------------------------------------------------------


def test_it_starts_in_a_folder_with_modules_of_our_names(home: Home, tmp_path):
    """The daemon is started with -I: neither the working directory nor PYTHONPATH can put another `broker` in its place."""
    for name in ("broker.py", "redis.py", "logging.py"):
        (tmp_path / name).write_text("raise SystemExit('shadowed')")
    code = ("from pathlib import Path; from broker.home import Home; from broker.settings import *; from broker.start import ensure_broker;"
            f"print(ensure_broker(Home(Path({str(home.root)!r})), ServerSettings(), LeaseSettings()).port)")
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True,
        timeout=60, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == address_of(home).port
    assert json.loads(home.address_file.read_text())["supervisor_pid"] in supervisors(home)
