"""The server is killed again and again, while its worker is full and while it has room: the worker lives, and each jobfile runs once."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import servers
from chaos.signs import STUTTER_S, longest_pause, until
from servers import address_of

from broker.plan import Plan
from nunatak.settings import load_settings

_TIMES = 20
#: A supervisor like any other, but that it takes each server for one that had lived well: else it pauses for up to a minute.
_SUPERVISOR = """
import sys
from broker import minder
from broker.supervisor import main
minder._SETTLED_S = -1.0
sys.exit(main(sys.argv[2:]))
"""


def _start_broker(machine):
    settings = load_settings(machine.environ)
    plan = Plan(home=settings.home, server=settings.server, lease=settings.lease)
    # The word is what supervisors are known by.
    argv = [sys.executable, "-I", "-c", _SUPERVISOR, "broker.supervisor", plan.to_json()]
    said = subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True, timeout=30)
    assert json.loads(said.stdout)["word"] == "up", said.stdout
    return address_of(settings.home).supervisor_pid


def _kill_server(machine, wait_until, chance):
    """At any moment: while it loads, in the midst of a claim, or at rest."""
    time.sleep(chance.uniform(0.0, 0.8))
    (old,) = wait_until(lambda: servers.servers(machine.home), 10, "a server to kill")
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: servers.servers(machine.home) not in ([], [old]), 10, "the supervisor to start another server")


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_worker_lives_through_twenty_deaths_of_the_server_and_each_jobfile_runs_once(machine, wait_until):
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed={seed}")
    chance = random.Random(seed)
    machine.quicken(LEASE_LEASE_S="20", LEASE_RENEW_EVERY_S="1")
    supervisor = _start_broker(machine)
    go = machine.root / "go"
    machine.write_ticking("long", 0.3, before=until(go))
    for number in range(12):
        machine.write_ticking(f"short{number}", chance.uniform(0.2, 1.0))
    machine.enqueue()
    node = machine.start_node("r1")
    machine.wait_running("long")
    since = time.time()
    for _ in range(_TIMES // 2):
        _kill_server(machine, wait_until, chance)
    wait_until(lambda: len([run for run in machine.log.runs() if run.ended]) == 12, 60, "the short ones to end")

    # One slot is free now, and its worker waits at the bell.
    for _ in range(_TIMES // 2):
        _kill_server(machine, wait_until, chance)
    machine.write_ticking("last", 0.3)
    machine.enqueue()
    wait_until(lambda: machine.log.of("last"), 20, "the worker to claim again")
    over = time.time()
    go.touch()
    jobs = machine.wait_ended()
    assert servers.supervisors(machine.home) == [supervisor]
    assert machine.home.supervisor_log.read_text().count("server.died") == _TIMES
    assert node.words().count("worker.started") == 1, "the worker lived through it"
    assert "attempt.frozen" not in node.words()
    assert longest_pause(machine, "long", since, over) < STUTTER_S
    assert {run.name: run.attempt for run in machine.log.runs()} == dict.fromkeys(jobs, 1)
    assert len(machine.log.runs()) == len(jobs) == 14
    assert {name: (job.deliveries, job.losses) for name, job in jobs.items()} == dict.fromkeys(jobs, (1, 0))
    machine.assert_all_done_and_none_twice_at_once(jobs)
