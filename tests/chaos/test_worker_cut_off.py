"""A worker is cut off from a broker that lives: its jobfiles stand still before their leases end, for somebody else may start them then."""

import time

import pytest
from chaos.home_view import address_by_port, node_with_its_own_view
from chaos.signs import signs, until
from chaos.silent_proxy import SilentProxy
from servers import address_of

from broker.records import State
from broker.start import ensure_broker
from nunatak.settings import load_settings

_LEASE_S = 5.0
_LEASES = {"LEASE_LEASE_S": f"{_LEASE_S:g}", "LEASE_MARGIN_S": "1.5", "LEASE_BEAT_FRESH_S": "1"}
_AWAY_S = 3 * _LEASE_S


def _lease_end(machine, name):
    """Unix seconds at which the broker may take it back."""
    return float(machine.ledger()._client.zscore("leases", machine.jobs()[name].job_id)) / 1000


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_cut_off_jobfile_is_frozen_in_time_and_thawed_if_nobody_took_it_or_ended_if_somebody_did(machine, tmp_path, wait_until):
    machine.quicken(**_LEASES)
    go = machine.root / "go"
    for name in ("A", "B"):
        machine.write_ticking(name, 0.5, before=until(go))
    machine.enqueue()
    settings = load_settings(machine.environ)
    ensure_broker(settings.home, settings.server, settings.lease)
    with SilentProxy.to(address_of(machine.home).port) as proxy, node_with_its_own_view(machine, tmp_path / "cut") as cut:
        address_by_port(cut.home, proxy.port)
        node = cut.start_node("cut")
        machine.wait_running("A", "B")

        proxy.cut()
        away = time.time()
        wait_until(lambda: time.time() > away + 0.5, 1, "what was on its way to arrive")
        ends = {name: _lease_end(machine, name) for name in "AB"}
        first = {name: machine.log.of(name)[0].token for name in "AB"}
        wait_until(lambda: node.words().count("attempt.frozen") == 2, _LEASE_S + 2, "both to be frozen")
        wait_until(lambda: set(machine.states().values()) == {State.QUEUED}, 10, "the leases to run out")
        for name in "AB":
            assert signs(machine, name)[-1] < ends[name], f"{name} ran beyond its lease's end"

        # One of the two is taken by somebody else.
        machine.start_node("other", slots=1)
        wait_until(lambda: len(machine.log.runs()) == 3, 10, "another node to start one of them")
        taken = machine.log.runs()[-1].name
        kept = "AB".replace(taken, "")
        wait_until(lambda: time.time() > away + _AWAY_S, _AWAY_S, "three leases to pass")
        still = {name: signs(machine, name, first[name])[-1] for name in "AB"}
        assert all(still[name] < ends[name] for name in "AB")

        proxy.heal()
        wait_until(lambda: signs(machine, kept)[-1] > still[kept], 30, f"{kept} to go on")
        wait_until(lambda: "lease.lost" in node.words(), 10, f"{taken} to be ended")
        go.touch()
        jobs = machine.wait_ended()
        assert signs(machine, taken, first[taken])[-1] == still[taken], "the taken one is ended without another step"
        assert (len(machine.log.of(kept)), jobs[kept].latest.number, jobs[kept].losses) == (1, 1, 0)
        assert ([run.ended for run in machine.log.of(taken)], jobs[taken].latest.number) == ([False, True], 2)
        assert (jobs[kept].latest.block, jobs[taken].latest.block) == ("cut", "other")
        assert node.words().count("worker.started") == 1
        cut.assert_nothing_left()
        machine.assert_all_done_and_none_twice_at_once(jobs)
