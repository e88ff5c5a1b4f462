"""One jobfile under a guard: what it finds, how it ends, what is left of it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from guard_node import FakeWorker, GuardNode, wait_until

from tasks.guard.clock import boottime
from tasks.guard_client import StartFailed


@pytest.fixture
def node(tmp_path: Path) -> Iterator[GuardNode]:
    with GuardNode(tmp_path) as node:
        yield node


@pytest.fixture
def worker(node: GuardNode) -> FakeWorker:
    return node.greeted()


def test_a_new_guard_tells_its_worker_slots_and_names(worker: FakeWorker) -> None:
    assert worker.welcome is not None
    assert (worker.welcome.slots, worker.welcome.node, worker.welcome.block, worker.welcome.running) == (2, "n1", "b1", ())


def test_a_jobfile_that_ends_well_says_0_and_its_output_is_beside_it(node: GuardNode, worker: FakeWorker) -> None:
    ending = node.run(worker, "echo out; pwd").wait(8)
    assert (ending.exit_code, ending.signal, ending.ended_for, ending.escaped, ending.frozen_once) == (0, None, None, 0, False)
    assert node.output() == f"out\n{node.jobs}\n"


def test_an_exit_code_is_told_as_it_was(node: GuardNode, worker: FakeWorker) -> None:
    assert node.run(worker, "exit 7").wait(8).exit_code == 7


def test_a_jobfile_that_a_signal_ended_has_no_exit_code(node: GuardNode, worker: FakeWorker) -> None:
    ending = node.run(worker, "kill -SEGV $$").wait(8)
    assert (ending.exit_code, ending.signal) == (None, 11)
