"""Random faults on eight nodes: whatever dies or hangs, no jobfile is lost, runs twice at the same time, or is done twice."""

import os
import random
import re
import time
from dataclasses import fields, replace
from itertools import count
from pathlib import Path

import pytest
from chaos.fault_judgement import Seen, judge
from chaos.fault_plan import OF_NODE, Kind, Plan, Work, draw
from chaos.random_faults import Round
from whole.machine import machine_in
from whole.run_log import Run

from broker.records import Attempt, Campaign, Job, State

#: `make soak` sets it: how long to go on, with one seed after another.
SOAK_S = float(os.environ.get("NUNATAK_SOAK_SECONDS") or 0)
#: Faults come for this long in a round; two minutes in `make soak`.
ROUND_S = 120.0 if SOAK_S else 45.0
SEED = int(os.environ.get("NUNATAK_SOAK_SEED") or random.SystemRandom().randrange(10**6))


def _play(seed: int, folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """One round; a line about it, whatever comes of it."""
    folder.mkdir()
    began = time.monotonic()
    with machine_in(folder) as machine:
        seen = Round(machine, draw(seed, ROUND_S)).run()
    findings = judge(seen)
    with capsys.disabled():
        print(f"\n{seen.summary()}; {time.monotonic() - began:.0f} s; {'; '.join(findings) or 'nothing found'}", flush=True)
    return findings


@pytest.mark.slow
@pytest.mark.timeout(SOAK_S + 900)
def test_whatever_dies_or_hangs_nothing_is_lost_or_runs_twice_at_once_or_is_done_twice(tmp_path, capsys):
    found, end = {}, time.monotonic() + SOAK_S
    for seed in count(SEED):
        if findings := _play(seed, tmp_path / str(seed), capsys):
            found[seed] = findings
        if time.monotonic() >= end:
            break
    assert found == {}, f"again with NUNATAK_SOAK_SEED={min(found)}; logs: {tmp_path}"


def test_a_seed_always_draws_the_same_plan_and_another_seed_another_one():
    assert draw(7, 45.0) == draw(7, 45.0)
    assert draw(7, 45.0) != draw(8, 45.0)


def test_two_minutes_have_at_least_seventy_faults_and_a_few_plans_have_every_kind():
    plans = [draw(seed, 120.0) for seed in range(20)]
    assert min(len(plan.faults) for plan in plans) >= 70
    assert {fault.kind for plan in plans[:3] for fault in plan.faults} == set(Kind)


def test_a_plan_leaves_the_broker_alone_for_long_enough_that_leases_run_out():
    faults = draw(7, 120.0).faults
    assert {fault.kind for fault in faults if fault.at_s % 45 < 25} <= OF_NODE
    assert {fault.kind for fault in faults} - OF_NODE


# -- the judge ---------------------------------------------------------------------------------------------------------------------------

_RUN = Run(name="A", token="t1", attempt=1, first=10.0, last=12.0, ended=True, pids=frozenset({1}), node="n")


def _seen(*runs: Run, again: tuple[str, ...] = ()) -> Seen:
    """A round with one jobfile and no faults, whose end is in order; the ledger's view of the jobfile is left out."""
    return Seen(
        plan=Plan(seed=0, works=(Work(name="A", seconds=2.0, escapes=False),), faults=()), blows=(), runs=runs,
        blocks={run.token: "n0-1" for run in runs}, made=frozenset("A"), again=again, jobs={},
        campaign=Campaign(name="c", number="1", options={}, counts={**dict.fromkeys(State, 0), State.DONE: 1}, skipped=0, paused=None),
        sizes={"leases": 0}, records=0, processes=(), surprises=(),
    )  # fmt: skip


def _words(seen: Seen) -> list[str]:
    """What is found, in its capitals."""
    capitals = (re.match(r"[A-Z ]+\b(?= )", finding) for finding in judge(seen))
    found = [match[0].strip() for match in capitals if match]
    return [words for words in found if words != "NO RECORD"]


def test_the_judge_has_nothing_to_say_of_one_run_to_the_end():
    assert _words(_seen(_RUN)) == []


def test_the_judge_sees_two_runs_at_once_also_with_a_short_one_between_them():
    cut = replace(_RUN, ended=False)
    short = replace(cut, token="t2", first=10.5, last=10.6)
    late = replace(_RUN, token="t3", first=11.0, last=13.0)
    found = _words(_seen(cut, short, late))
    assert found == ["TWICE AT ONCE", "TWICE AT ONCE", "CUT SHORT", "CUT SHORT"]
    assert _words(_seen(cut, replace(late, first=12.1))) == ["CUT SHORT"]


def test_the_judge_sees_what_is_done_twice():
    assert _words(_seen(_RUN, replace(_RUN, token="t2", first=13.0, last=15.0))) == ["DONE TWICE"]
    assert _words(_seen(_RUN, again=("A",))) == ["DONE TWICE"]


def test_the_judge_sees_what_is_lost_and_what_is_left():
    assert _words(replace(_seen(_RUN), made=frozenset())) == ["LOST"]
    left = judge(replace(_seen(_RUN), sizes={"leases": 2}, processes=("123 sleep",)))
    assert left[-2:] == ["LEFT in leases: 2", "PROCESS LEFT 123 sleep"]


def test_the_judge_wants_a_cause_for_each_run_that_was_cut_short():
    assert _words(_seen(replace(_RUN, ended=False))) == ["CUT SHORT"]


def test_the_judge_sees_a_run_that_showed_a_sign_of_life_after_it_was_taken_from_its_node():
    nothing = dict.fromkeys(f.name for f in fields(Attempt))
    lost = Attempt(**{**nothing, "number": 1, "block": "n0-1", "ending": "lost", "ended_at": 11.0})
    job = Job(
        job_id="i", directory="d", name="A", campaign="c", state=State.DONE, priority=5, per_node=0, failures=0, deliveries=2, losses=1,
        cancelling=False, skipped=False, queued_at=None, latest=replace(lost, number=2, ending="done"), earlier=(lost,),
    )  # fmt: skip
    assert _words(replace(_seen(_RUN), jobs={"A": job})) == ["RAN ON"]
    assert _words(replace(_seen(replace(_RUN, last=10.9)), jobs={"A": job})) == []
