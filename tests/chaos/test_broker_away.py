"""The broker is away for three times the lease: what runs runs on, what ends is settled afterwards, and nothing is taken back early."""

import os
import signal
import time

import pytest
import servers
from chaos.signs import LEASE_S, OUTAGE, STUTTER_S, longest_pause, until

from broker.client import open_client
from broker.errors import Stale
from broker.lease import Leases
from broker.records import State
from broker.scripts import Scripts

_AWAY_S = 3 * LEASE_S
#: For a server that hangs: a worker notices that only when its connection has timed out after 10 s, and needs its proof after that.
_HUNG_LEASE_S = 18.0
_HUNG = OUTAGE | {"LEASE_LEASE_S": f"{_HUNG_LEASE_S:g}", "LEASE_RENEW_EVERY_S": "2.5", "LEASE_BEAT_FRESH_S": "0.6"}


def _refused(machine):
    """Whether the server that answers carries out no verb."""
    client = open_client(machine.home)
    try:
        Leases(Scripts(client)).take_back("none", "no token")
    except Stale:
        return True
    finally:
        client.close()
    return False


def _start(machine, go, *, also=()):
    """Two that run until `go` is there (one for the whole outage), and whatever else."""
    for name in ("A", "B"):
        machine.write_ticking(name, 0.3, before=until(go if name == "A" else machine.root / "go-B"))
    for name in also:
        machine.write_ticking(name, 0.3)
    machine.enqueue()
    node = machine.start_node("n1")
    machine.wait_running("A", "B")
    return node


def _assert_ran_on_and_settled(machine, node, *, away, back):
    """A ran through it all, B ended while nobody could be told; both are done, in one attempt each.

    Until the broker is back: a beat then ends the proof, which here lasts 0.8 s and not 60, before the worker next tries to connect.
    """
    jobs = machine.wait_ended()
    assert longest_pause(machine, "A", away, back) < STUTTER_S
    for name in ("A", "B"):
        assert (len(machine.log.of(name)), jobs[name].deliveries, jobs[name].losses) == (1, 1, 0)
    (ended_away,) = machine.log.of("B")
    assert away < ended_away.last < back
    assert node.words().count("worker.started") == 1
    return jobs


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_jobfiles_run_on_while_server_and_supervisor_are_dead_and_nothing_is_taken_back_within_the_grace(machine, wait_until):
    machine.quicken(**OUTAGE)
    go = machine.root / "go"
    machine.write_ticking("lost", 0.3, before="[ $NUNATAK_ATTEMPT = 1 ] && sleep 100")
    machine.enqueue("--priority", "5")
    doomed = machine.start_node("doomed", slots=1)
    machine.wait_running("lost")
    node = _start(machine, go, also=("later",))

    servers.kill_broker(machine.home)
    away = time.time()
    doomed.kill_guard()
    (machine.root / "go-B").touch()
    wait_until(lambda: machine.log.of("B")[0].ended, 10, "B to end")
    wait_until(lambda: time.time() > away + _AWAY_S, _AWAY_S + 1, "three leases to pass")
    assert not servers.servers(machine.home)
    back = time.time()
    assert machine.call("broker", "start").code == 0
    wait_until(lambda: machine.jobs()["B"].state is State.DONE, 15, "B to be settled")

    # The lease of what died long ago has ended twice over; still it is not taken back before everybody could have renewed.
    wait_until(lambda: machine.jobs()["lost"].state is not State.RUNNING, 20, "the dead node's jobfile to wait again")
    assert time.time() - back > LEASE_S, "nothing may be taken back for lease + margin after the first beat"
    go.touch()
    jobs = _assert_ran_on_and_settled(machine, node, away=away, back=back)
    assert (jobs["lost"].losses, jobs["lost"].latest.number) == (1, 2)
    machine.assert_all_done_and_none_twice_at_once(jobs)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_jobfiles_run_on_while_the_server_hangs(machine, wait_until):
    machine.quicken(**_HUNG)
    go = machine.root / "go"
    node = _start(machine, go, also=("later",))
    (server,) = servers.servers(machine.home)
    (supervisor,) = servers.supervisors(machine.home)
    os.kill(server, signal.SIGSTOP)
    away = time.time()
    (machine.root / "go-B").touch()
    wait_until(lambda: time.time() > away + 3 * _HUNG_LEASE_S, 3 * _HUNG_LEASE_S + 1, "three leases to pass")
    back = time.time()
    os.kill(server, signal.SIGCONT)
    wait_until(lambda: machine.jobs()["B"].state is State.DONE, 45, "B to be settled")
    go.touch()
    jobs = _assert_ran_on_and_settled(machine, node, away=away, back=back)
    assert (servers.servers(machine.home), servers.supervisors(machine.home)) == ([server], [supervisor])
    machine.assert_all_done_and_none_twice_at_once(jobs)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_server_without_its_supervisor_refuses_everything_until_a_command_starts_another(machine, wait_until):
    machine.quicken(**OUTAGE)
    go = machine.root / "go"
    node = _start(machine, go, also=("later",))
    (server,) = servers.servers(machine.home)
    (supervisor,) = servers.supervisors(machine.home)
    os.kill(supervisor, signal.SIGKILL)
    away = time.time()
    wait_until(lambda: _refused(machine), 5, "the server to refuse")
    (machine.root / "go-B").touch()
    wait_until(lambda: time.time() > away + _AWAY_S, _AWAY_S + 1, "three leases to pass")
    assert _refused(machine)
    assert machine.jobs()["B"].state is State.RUNNING, "nothing can have been settled"
    assert machine.jobs()["later"].deliveries == 0, "nothing can have been claimed"

    back = time.time()
    assert machine.call("status").code == 0
    assert servers.servers(machine.home) == [server]
    (second,) = servers.supervisors(machine.home)
    assert second != supervisor
    wait_until(lambda: machine.jobs()["B"].state is State.DONE, 15, "B to be settled")
    go.touch()
    jobs = _assert_ran_on_and_settled(machine, node, away=away, back=back)
    machine.assert_all_done_and_none_twice_at_once(jobs)
