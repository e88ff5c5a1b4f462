"""Jobfiles end while the broker cannot be told: each end is recorded once, by whoever is left to tell it, and no work is done again."""

import pytest
import servers
from chaos.home_view import address_by_port, node_with_its_own_view
from chaos.signs import OUTAGE, until
from chaos.silent_proxy import SilentProxy
from servers import address_of

from broker.records import State
from broker.start import ensure_broker
from nunatak.settings import load_settings


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_ends_during_an_outage_are_settled_by_the_worker_or_its_successor_or_by_their_records(machine, wait_until):
    machine.quicken(**OUTAGE)
    go = machine.root / "go"
    for number in range(3):
        for name in (f"done{number}", f"failed{number}"):
            machine.write_ticking(name, 0.2, before=until(go), after="say end; exit 3" if name.startswith("f") else "")
    machine.enqueue("--retries", "0")
    nodes = {block: machine.start_node(block) for block in ("stays", "next-worker", "dies")}
    names = list(machine.jobs())
    machine.wait_running(*names)
    blocks = {name: job.latest.block for name, job in machine.jobs().items()}
    assert sorted(blocks.values()) == sorted(list(nodes) * 2)

    servers.kill_broker(machine.home)
    go.touch()
    wait_until(lambda: all(run.ended for run in machine.log.runs()), 15, "all to end while the broker is away")
    wait_until(lambda: len([p for p in machine.home.records_dir.rglob("*") if p.is_file()]) == len(names), 10, "the records")
    first = nodes["next-worker"].kill_worker()
    wait_until(lambda: nodes["next-worker"].worker not in (None, first), 10, "the guard to start another worker")
    nodes["dies"].kill_guard()
    assert machine.call("broker", "start").code == 0

    # Of the dead node nobody tells: its leases run out, and whoever claims next finds the records.
    wait_until(lambda: all(machine.jobs()[n].state is not State.RUNNING for n in names), 40, "the leases to run out")
    jobs = machine.wait_ended()
    assert {run.name: run.attempt for run in machine.log.runs()} == dict.fromkeys(names, 1)
    assert len(machine.log.runs()) == len(names), "nothing ran a second time"
    expected = {name: State.DONE if name.startswith("done") else State.FAILED for name in names}
    assert {name: job.state for name, job in jobs.items()} == expected
    assert {name: jobs[name].latest.exit_code for name in names} == {name: 0 if name.startswith("done") else 3 for name in names}
    assert {name: job.losses for name, job in jobs.items() if blocks[name] != "dies"} == {n: 0 for n in names if blocks[n] != "dies"}
    wait_until(lambda: not [p for p in machine.home.records_dir.rglob("*") if p.is_file()], 10, "the records to go")
    machine.assert_nothing_left()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_settle_whose_answer_is_lost_is_repeated_and_changes_nothing(machine, tmp_path, wait_until):
    # The next renewal comes 10 s after the one that has told of the start: the first thing that is asked then is a settle.
    machine.quicken(LEASE_LEASE_S="62", LEASE_MARGIN_S="2")
    go = machine.root / "go"
    # Its settle brings the script to the server.
    machine.write_ticking("0", 0.1)
    machine.write_ticking("A", 0.2, before=until(go))
    machine.write_ticking("B", 0.2, before=until(go), after="say end; exit 3")
    machine.enqueue("--retries", "0")
    settings = load_settings(machine.environ)
    ensure_broker(settings.home, settings.server, settings.lease)
    with SilentProxy.to(address_of(machine.home).port) as proxy, node_with_its_own_view(machine, tmp_path / "own") as own:
        address_by_port(own.home, proxy.port)
        node = own.start_node("s1")
        machine.wait_running("A", "B")
        proxy.swallow_answers()
        go.touch()
        # One settle is asked at a time: the second one waits for the first one's answer.
        wait_until(lambda: {machine.states()[n] for n in "AB"} & {State.DONE, State.FAILED}, 15, "the broker to have one of the ends")
        assert node.words().count("lease.settled") == 1
        wait_until(lambda: "renewer.unreachable" in node.words(), 20, "the worker to give the answer up")
        proxy.heal()
        wait_until(lambda: node.words().count("lease.settled") == 3, 40, "the worker to be told")
        jobs = machine.wait_ended()
        assert jobs.pop("0").state is State.DONE
        assert {name: (job.state, job.latest.exit_code) for name, job in jobs.items()} == {"A": (State.DONE, 0), "B": (State.FAILED, 3)}
        assert {(job.deliveries, job.failures, job.losses) for job in jobs.values()} == {(1, 0, 0), (1, 1, 0)}
        assert "lease.refused" not in node.words()
        assert len(machine.log.runs()) == 3
        own.assert_nothing_left()
    machine.assert_nothing_left()
