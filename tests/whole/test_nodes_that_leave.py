"""Nodes that are drained, bad, idle within the time that is paid for, or near their block's end: real guards, workers and broker."""

import json
import os
import subprocess
import time
from dataclasses import replace

import pytest
import servers
from whole.machine import Machine

from broker import keys
from broker.client import open_client
from broker.records import State
from nunatak.block_file import BlockFile, write_block_file

NODE = "n1"


def _start(machine: Machine, *words: str, block: str = "b1", idle_s: float = 300.0, **fields: object) -> "subprocess.Popen[str]":
    """A block of one node, recorded as a launcher does it."""
    worker = {"idle_s": idle_s, "log_dir": str(machine.logs), "keep_logs": True}
    write_block_file(machine.home, replace(BlockFile(block=block, site="local", slots=1, worker=worker), **fields))  # type: ignore[arg-type]
    machine.ledger().record_block(block, {"site": "local", "state": "running", "ended_at": ""})
    return machine.popen("worker", "--block", block, "--node", NODE, *words)


def _log(machine: Machine, block: str = "b1") -> str:
    return (machine.logs / f"{block}-{NODE}.log").read_text()


def _state(machine: Machine) -> str:
    return next((str(worker.state) for worker in machine.ledger().workers() if worker.node == NODE), "")


def _ended(node: "subprocess.Popen[str]", timeout_s: float = 40.0) -> tuple[int, str]:
    _, said = node.communicate(timeout=timeout_s)
    return node.returncode, said


def test_a_drained_node_finishes_what_runs_claims_nothing_more_and_leaves(machine: Machine):
    machine.quicken()
    machine.write_ticking("a", 4)
    machine.write_ticking("b", 0.1)
    assert machine.enqueue("--priority", "5").code == 0
    node = _start(machine)
    machine.wait_running("a")
    assert machine.ledger().drain_block("b1") == "draining"
    servers.wait_until(lambda: _state(machine) == "draining", 15, "the worker to say that it is draining")
    assert _ended(node) == (0, "")
    assert machine.states() == {"a": State.DONE, "b": State.QUEUED}
    assert [run.name for run in machine.log.runs() if run.ended] == ["a"]
    assert "worker.leave why=its block is drained" in _log(machine)


def test_an_idle_node_hears_of_the_drain_by_the_bell_and_leaves(machine: Machine):
    assert machine.call("broker", "start").code == 0
    node = _start(machine)
    servers.wait_until(lambda: _state(machine) == "running", 20, "the worker")
    machine.ledger().drain_block("b1")
    # Long before its next renewal, which comes each 40 s.
    assert _ended(node, 20) == (0, "")
    assert "worker.told word=drain" in _log(machine)


def _call_bad(machine: Machine, reason: str) -> None:
    client = open_client(machine.home)
    client.hset(keys.BAD_NODES, f"{NODE} b1", json.dumps({"reason": reason, "since": time.time() * 1000}))
    client.close()


def test_a_bad_node_shows_it_claims_nothing_and_goes_on_when_it_is_forgiven(machine: Machine):
    machine.quicken()
    machine.write_ticking("a", 2)
    machine.write_ticking("b", 0.1)
    machine.enqueue()
    node = _start(machine)
    machine.wait_running("a")
    _call_bad(machine, "3 jobfiles failed here only")
    servers.wait_until(lambda: _state(machine) == "bad", 15, "the worker to say that it is bad")
    servers.wait_until(lambda: machine.states()["a"] is State.DONE, 20, "what runs to end well")
    # For some renewals of 0.5 s it has nothing to do and takes nothing.
    until = time.monotonic() + 2
    servers.wait_until(lambda: time.monotonic() > until or machine.states()["b"] is not State.QUEUED, 5, "nothing")
    assert machine.states()["b"] is State.QUEUED
    assert node.poll() is None
    assert machine.ledger().forgive_node(NODE) == 1
    assert machine.wait_ended()["b"].state is State.DONE
    servers.wait_until(lambda: _state(machine) == "running", 15, "the worker to say that it is well")
    node.terminate()
    assert _ended(node)[0] == 0


def test_a_bad_node_leaves_after_its_idle_time_and_says_why(machine: Machine):
    machine.quicken()
    assert machine.call("broker", "start").code == 0
    _call_bad(machine, "3 jobfiles failed here only")
    node = _start(machine, idle_s=1.0)
    assert _ended(node) == (0, "")
    assert "worker.leave why=idle for 1 s, bad node: 3 jobfiles failed here only" in _log(machine)


def test_an_idle_node_stays_until_what_is_charged_at_least_is_used(machine: Machine):
    assert machine.call("broker", "start").code == 0
    started = time.time()
    node = _start(machine, "--started-at", f"{started:.3f}", idle_s=0.5, least_charged_s=6.0)
    assert _ended(node) == (0, "")
    assert time.time() - started >= 6.0
    assert "worker.leave why=idle for 0.5 s" in _log(machine)


def test_an_idle_node_of_a_block_that_is_long_paid_for_leaves_at_once(machine: Machine):
    assert machine.call("broker", "start").code == 0
    node = _start(machine, "--started-at", f"{time.time() - 900:.0f}", idle_s=0.5, least_charged_s=900.0)
    assert _ended(node, 15) == (0, "")


def test_at_the_end_that_the_scheduler_has_said_what_runs_is_handed_back(machine: Machine):
    machine.write_ticking("a", 60, header="trap 'exit 1' TERM")
    machine.enqueue()
    ends = time.time() + 8
    node = _start(machine, "--ends-at", f"{ends:.0f}", warn_s=1.0)
    assert _ended(node)[0] == 0
    assert time.time() < ends + 5
    assert machine.states() == {"a": State.QUEUED}
    assert "guard.leaves why=deadline" in _log(machine)


def test_a_node_with_too_few_processors_says_so_and_claims_nothing(machine: Machine):
    machine.write("a", "true")
    machine.enqueue()
    code, said = _ended(_start(machine, cores_per_node=len(os.sched_getaffinity(0)) + 1))
    assert code == 2
    assert f"may use {len(os.sched_getaffinity(0))} processors and the site's nodes have" in said
    assert machine.states() == {"a": State.QUEUED}


@pytest.mark.parametrize("words", [("--ends-at", "soon"), ("--started-at", "x")])
def test_a_time_that_is_none_is_wrong_use(machine: Machine, words: tuple[str, ...]):
    said = machine.call("worker", "--block", "b1", *words)
    assert said.code == 2
    assert "give seconds since 1970" in said.err
