"""Starting and finding the broker: with the real daemon and the real server."""

import dataclasses
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import servers as parts
from broker_steps import ensure, get, kill, put
from servers import address_of, supervisors, wait_until

from broker import process
from broker.address import Address, interfaces
from broker.client import answering_endpoint, open_client
from broker.errors import BrokerError, NoServer
from broker.home import Home
from broker.plan import Plan
from broker.scripts import Scripts
from broker.settings import LeaseSettings, ServerSettings
from broker.start import Answer, Seen, Step, ask, broker_status, decide

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
