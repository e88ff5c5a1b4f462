"""Runs schedules, each with a seed of its own, on one real server.

    PYTHONPATH=tests:tests/broker python tests/broker/schedule_run.py THEME FIRST_SEED COUNT [RULE …]

runs COUNT of them with the named rules left out, and tells the first that breaks the promise.
"""

import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from schedule_clock import Clock, Fibers
from schedule_rules import Rules
from schedule_server import Database
from schedule_world import Violation, World
from servers import Server, temporary_home

from broker.client import Endpoint, connect

#: How long things go wrong in one schedule.
FAULTS_S = 3000.0
_DATABASES = 5


@dataclass
class Stage:
    """What schedules need and leave as they found it."""

    databases: list[Database]
    fibers: Fibers


@contextmanager
def stage() -> Iterator[Stage]:
    """A server without a file of its own: what is on the disk when is simulated."""
    with temporary_home() as home:
        server = Server(home, fsync="everysec")
        fibers, processors = Fibers(), os.sched_getaffinity(0)
        try:
            server.start()
            server.client().config_set("appendonly", "no")
            endpoints = [Endpoint(host="", port=0, socket=str(server.socket), password=server.password, db=n) for n in range(_DATABASES)]
            # Fibers hand over to each other all the time, and that is fastest on one processor.
            os.sched_setaffinity(0, {min(processors)})
            yield Stage([Database(connect(endpoint)) for endpoint in endpoints], fibers)
        finally:
            os.sched_setaffinity(0, processors)
            fibers.close()
            server.close()


@contextmanager
def _in_its_time(rules: Rules, clock: Clock, dice: random.Random) -> Iterator[None]:
    """The worker's modules see the simulated clock and dice, and the scripts with the rules that hold."""
    replaced: dict[str, Any] = {
        "broker.scripts.source": rules.source,
        "broker.stillness.look": lambda node, _name: node.worker.seen(),
        "broker.stillness._STILL_TIMES": 3 if rules.patience else 0,
        "broker.holdings.random": SimpleNamespace(uniform=dice.uniform),
        "broker.holdings.new_token": lambda: f"t{dice.getrandbits(32):08x}",
        "broker.holdings.time": clock,
        "broker.renewer.time": clock,
        **{f"{module}.boottime": clock.monotonic for module in ("broker.stillness", "broker.holdings", "broker.renewer", "tasks.worker")},
    }
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    with ExitStack() as stack:
        for name, value in replaced.items():
            stack.enter_context(patch(name, value))
        try:
            yield
        finally:
            logging.disable(level)


def run(stage: Stage, theme: str, seed: int, rules: Rules, told: list[str]) -> Counter[str]:
    """One schedule; raises Violation. `told` is filled with what happened; returns how often which."""
    clock, dice = Clock(), random.Random(f"{theme} {seed}")
    with _in_its_time(rules, clock, dice):
        world = World(stage.databases, stage.fibers, theme, dice, clock, rules, told)
        try:
            clock.run(FAULTS_S)
            world.check_end()
        finally:
            world.close()
    return world.counts


def first_violation(stage: Stage, theme: str, seeds: range, rules: Rules) -> str | None:
    """What the first of these schedules that breaks the promise tells, None if none does."""
    for seed in seeds:
        told: list[str] = []
        try:
            run(stage, theme, seed, rules, told)
        except Violation as violation:
            return "\n".join([f"theme {theme} seed {seed}: {violation}", *told])
    return None


def main(theme: str, first: str, count: str, *left_out: str) -> None:
    rules = Rules(**dict.fromkeys(left_out, False))
    began, counts, bad = time.monotonic(), Counter[str](), 0
    with stage() as made:
        for seed in range(int(first), int(first) + int(count)):
            told: list[str] = []
            try:
                counts += run(made, theme, seed, rules, told)
            except Violation as violation:
                bad += 1
                if bad == 1:
                    print(*told[-60:], sep="\n")
                print(f"theme {theme} seed {seed}: {violation}")
    took_s = time.monotonic() - began
    print(f"{theme} without {left_out}: {bad} of {count} schedules, {took_s:.1f} s, {time.process_time():.1f} s of ours, {dict(counts)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
