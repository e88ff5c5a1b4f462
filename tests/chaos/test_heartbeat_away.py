"""The broker is away, and nodes cannot see its heartbeat, or cannot write beside it: they prove nothing, so they freeze in time."""

import os
import time
from contextlib import ExitStack

import pytest
import servers
from chaos.home_view import freeze_view, node_with_its_own_view
from chaos.signs import LEASE_S, OUTAGE, STUTTER_S, longest_pause, signs, until

from broker.home import Home
from broker.start import ensure_broker
from nunatak.settings import load_settings


def _sees_all(_view: Home, _real: Home) -> None:
    """Nothing is wrong with this one."""


def _is_gone(view: Home, _real: Home) -> None:
    freeze_view(view, "heartbeat")


def _is_a_file(view: Home, _real: Home) -> None:
    freeze_view(view, "heartbeat").write_text("a folder was here")


def _hangs(view: Home, _real: Home) -> None:
    freeze_view(view, "heartbeat").mkdir()
    os.mkfifo(view.heartbeat_file)


def _is_torn(view: Home, real: Home) -> None:
    folder = freeze_view(view, "heartbeat")
    folder.mkdir()
    view.heartbeat_file.write_bytes(real.heartbeat_file.read_bytes()[:40])


def _is_full(view: Home, real: Home) -> None:
    """It can be read and not written: as a client that is cut off and reads what it has kept."""
    folder = freeze_view(view, "heartbeat")
    folder.mkdir()
    view.heartbeat_file.symlink_to(real.heartbeat_file)
    (folder / f"node-{os.uname().nodename}").symlink_to("/dev/full")


_VIEWS = {"well": _sees_all, "gone": _is_gone, "file": _is_a_file, "hangs": _hangs, "torn": _is_torn, "full": _is_full}
_BLIND = sorted(set(_VIEWS) - {"well"})


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_nodes_that_cannot_look_or_write_freeze_and_go_on_with_the_broker_and_the_one_that_can_runs_on(machine, tmp_path, wait_until):
    machine.quicken(**OUTAGE)
    go = machine.root / "go"
    settings = load_settings(machine.environ)
    ensure_broker(settings.home, settings.server, settings.lease)
    for name in _VIEWS:
        machine.write_ticking(f"on-{name}", 0.3, before=until(go))
    machine.enqueue()
    with ExitStack() as stack:
        owns = {name: stack.enter_context(node_with_its_own_view(machine, tmp_path / name)) for name in _VIEWS}
        nodes = {name: own.start_node(name, slots=1) for name, own in owns.items()}
        machine.wait_running(*(f"on-{name}" for name in _VIEWS))
        # Which node runs which jobfile is the queue's choice.
        runs_on = {job.latest.block: name for name, job in machine.jobs().items()}
        assert set(runs_on) == set(_VIEWS)

        for name, spoil in _VIEWS.items():
            spoil(owns[name].home, machine.home)
        servers.kill_broker(machine.home)
        away = time.time()
        wait_until(lambda: all("attempt.frozen" in nodes[name].words() for name in _BLIND), LEASE_S + 1, "the blind ones to be frozen")
        froze = time.time()
        for name in _BLIND:
            assert signs(machine, runs_on[name])[-1] < away + LEASE_S, f"{name} ran beyond its lease's end"
        wait_until(lambda: time.time() > away + 2 * LEASE_S, 2 * LEASE_S, "two leases to pass")
        for name in _BLIND:
            assert signs(machine, runs_on[name])[-1] < froze, f"{name} went on without the broker's word"
        assert longest_pause(machine, runs_on["well"], away, time.time()) < STUTTER_S
        assert "attempt.frozen" not in nodes["well"].words()
        assert not any("worker.silent" in node.words() for node in nodes.values())

        back = time.time()
        assert machine.call("broker", "start").code == 0
        wait_until(lambda: all(signs(machine, name)[-1] > back for name in runs_on.values()), 20, "all to go on")
        go.touch()
        jobs = machine.wait_ended()
        assert {run.name: run.attempt for run in machine.log.runs()} == dict.fromkeys(jobs, 1)
        assert {(job.deliveries, job.losses) for job in jobs.values()} == {(1, 0)}
        for name, own in owns.items():
            assert nodes[name].words().count("worker.started") == 1
            # Also the one whose look hangs for ever.
            own.assert_nothing_left()
        machine.assert_all_done_and_none_twice_at_once(jobs)
