"""Campaigns on simulated time: the books balance, the known figures come out, nothing starves."""

import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.durations import Tally, learn, unsaid
from broker.start_decision import Need
from nunatak.simulate.account import Account
from nunatak.simulate.engine import Policy, Run
from nunatak.simulate.jobfiles import HOUR_S, Jobfile, bimodal, campaign, equal, heavy_tail, lognormal
from nunatak.simulate.lanes import SortedLane
from nunatak.simulate.learned import Learned
from nunatak.simulate.policies import ByChance, InOrder, full_walltime
from nunatak.simulate.shape import Shape
from nunatak.simulate.width import Work, blocks_wanted


def simulate(policy: Policy, jobfiles: list[Jobfile], shape: Shape | None = None) -> Account:
    return Run(shape=shape or Shape(), policy=policy, jobfiles=jobfiles).account()


def of(*hours: float) -> list[Jobfile]:
    return [Jobfile(id=number, duration_s=hour * HOUR_S) for number, hour in enumerate(hours)]


def test_one_block_is_charged_for_all_its_nodes_until_its_last_jobfile_ends():
    account = simulate(InOrder(), of(10, 4, 2), Shape(nodes=2, max_blocks=1))
    assert (account.charged, account.useful, account.cut, account.hours) == (20, 8, 0, 10)
    assert (account.idle, account.blocks, account.done, account.su) == (12, 1, 3, 20)


def test_what_the_walltime_cuts_off_is_charged_and_done_again():
    account = simulate(InOrder(), of(30, 30), Shape(nodes=1, slots_per_node=1, max_blocks=1))
    assert (account.useful, account.cut, account.charged, account.interruptions) == (60, 18, 78, 1)


def test_a_jobfile_that_ends_with_its_block_has_ended():
    account = simulate(InOrder(), of(*[12.0] * 8), Shape(nodes=1, max_blocks=1))
    assert (account.yielded, account.blocks) == (1, 1)


def test_a_short_block_costs_the_least_charge_and_a_queue_takes_time():
    account = simulate(InOrder(), of(0.1, 0.1), Shape(nodes=1, max_blocks=1, least_charged_s=900, queue_wait_s=7200, su_per_node_hour=2))
    assert account.charged == pytest.approx(0.25)
    assert account.least_charge == pytest.approx(0.15)
    assert (account.hours, account.su) == (pytest.approx(2.1), pytest.approx(0.5))


def test_what_can_end_in_no_block_is_left_and_the_simulation_ends():
    for policy in (Learned(), full_walltime(Shape())):
        account = simulate(policy, of(*[5.0] * 50))
        assert (account.done, account.left) == (50, 0)
    account = simulate(Learned(), of(*[5.0] * 50, 60.0))
    assert (account.done, account.left) == (50, 1)


def test_the_same_seed_gives_the_same_account_and_another_one_another():
    first, again, other = (simulate(Learned(), campaign(lognormal(), 500, seed=seed, noise=0.3)) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("shape", "full", "always"),
    [(Shape(), 0.35, 0.69), (Shape(nodes=1, max_blocks=100), 0.77, 0.84)],
    ids=["20-node blocks", "one-node blocks"],
)
def test_the_known_figures_of_the_simple_rules_come_out(shape, full, always):
    def mean(policy: type[InOrder] | None) -> float:
        made = policy or (lambda: full_walltime(shape))
        return statistics.mean(simulate(made(), campaign(lognormal(), 3000, seed=seed), shape).yielded for seed in range(3))

    assert mean(None) == pytest.approx(full, abs=0.03)
    assert mean(InOrder) == pytest.approx(always, abs=0.03)


@pytest.mark.parametrize(("noise", "least"), [(None, 0.80), (0.30, 0.91), (0.15, 0.94), (0.0, 0.98)])
def test_ours_in_20_node_blocks(noise, least):
    account = simulate(Learned(), campaign(lognormal(), 3000, seed=11, noise=noise))
    assert account.yielded >= least
    assert account.done == 3000


@pytest.mark.parametrize("draw", [bimodal(), heavy_tail(), equal(13)], ids=["bimodal", "heavy tail", "equal"])
@pytest.mark.parametrize("shape", [Shape(), Shape(nodes=1, max_blocks=100)], ids=["20-node blocks", "one-node blocks"])
def test_ours_is_not_below_always_start_on_the_mean(draw, shape):
    def mean(policy: type[Learned] | type[InOrder]) -> float:
        return statistics.mean(simulate(policy(), campaign(draw, 3000, seed=seed), shape).yielded for seed in range(3))

    assert mean(Learned) >= mean(InOrder) - 1e-9


SMALL = st.builds(
    Shape,
    nodes=st.integers(1, 4),
    slots_per_node=st.integers(1, 3),
    walltime_s=st.sampled_from([2 * HOUR_S, 48 * HOUR_S]),
    max_blocks=st.integers(1, 4),
    queue_wait_s=st.sampled_from([0.0, 300.0]),
    least_charged_s=st.sampled_from([0.0, 900.0]),
)
POLICIES = st.sampled_from([Learned, InOrder, ByChance])


@given(SMALL, POLICIES, st.lists(st.floats(0.001, 0.98), min_size=1, max_size=40))
@settings(deadline=None, max_examples=60)
def test_the_books_balance(shape, policy, parts):
    account = simulate(policy(), [Jobfile(id=n, duration_s=part * shape.walltime_s) for n, part in enumerate(parts)], shape)
    assert account.done + account.left == len(parts)
    assert account.idle >= -1e-6
    done = account.useful * shape.slots_per_node * HOUR_S
    assert done <= sum(parts) * shape.walltime_s + 1e-3
    if not account.left:
        assert done == pytest.approx(sum(parts) * shape.walltime_s)


@given(SMALL, st.lists(st.tuples(st.floats(0.001, 0.98), st.one_of(st.none(), st.floats(0.3, 1.5))), min_size=1, max_size=40))
@settings(deadline=None, max_examples=100)
def test_nothing_starves_that_can_end_in_a_block_however_wrong_its_estimate(shape, parts):
    """Unless its own estimate says that it can end in none: then it waits with that reason."""
    jobfiles = []
    for number, (part, ratio) in enumerate(parts):
        duration = part * shape.walltime_s
        estimate = None if ratio is None else min(duration * ratio, 0.5 * shape.walltime_s)
        jobfiles.append(Jobfile(id=number, duration_s=duration, estimate_s=estimate))
    account = simulate(Learned(), jobfiles, shape)
    assert (account.done, account.left) == (len(parts), 0)
    assert account.interruptions <= 6 * len(parts)


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 8)), max_size=20), st.integers(0, 14))
def test_a_sorted_lane_finds_what_looking_at_everything_finds(rows, limit):
    lane = SortedLane(curve=learn(Tally(), unsaid(HOUR_S)))
    needs = [Need(id=n, unit=float(unit), more_than_s=float(more), need_s=more + unit / 2) for n, (unit, more) in enumerate(rows)]
    for need in random.Random(1).sample(needs, len(needs)):
        lane.add(need)
    for need in needs[::3]:
        lane.take(need)
    kept = [need for n, need in enumerate(needs) if n % 3]
    fresh = max((n for n in kept if not n.more_than_s and n.unit <= limit), key=lambda n: (n.unit, -n.id), default=None)
    needing = max((n for n in kept if n.more_than_s and n.need_s <= limit), key=lambda n: (n.need_s, -n.id), default=None)
    least = max((n for n in kept if 0 < n.more_than_s < limit), key=lambda n: (n.more_than_s, -n.id), default=None)
    assert (lane.fresh(limit), lane.needing(limit), lane.least(limit)) == (fresh, needing, least)
    assert len(lane) == len(kept)


def test_no_block_is_submitted_for_what_the_present_ones_still_can_do():
    shape = Shape(nodes=1)
    day = shape.slots * shape.walltime_s
    assert blocks_wanted(Work(waiting=3, waiting_s=0.1 * day, running_s=0.2 * day, left_s=0.9 * day, blocks=1), shape) == 1
    assert blocks_wanted(Work(waiting=90, waiting_s=3 * day, running_s=0.2 * day, left_s=0.5 * day, blocks=1), shape) == 4
    assert blocks_wanted(Work(waiting=1, waiting_s=0.01 * day, running_s=0, left_s=0, blocks=0), shape) == 1
    assert blocks_wanted(Work(waiting=0, waiting_s=0, running_s=day, left_s=0, blocks=2), shape) == 2
