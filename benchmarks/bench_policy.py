"""Start policies on simulated time, as useful / charged node-hours: python -I benchmarks/bench_policy.py [SEEDS].

3,000 jobfiles, 100 nodes wide, blocks of two slots a node and 48 hours. Nothing is measured here but arithmetic: it is the same on every
machine. Figures that a policy must reach are printed beside it.
"""

import math
import random
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass

from nunatak.simulate.account import Account
from nunatak.simulate.engine import Policy, Run
from nunatak.simulate.jobfiles import HOUR_S, Draw, bimodal, campaign, equal, heavy_tail, lognormal
from nunatak.simulate.learned import Learned
from nunatak.simulate.policies import ByChance, InOrder, full_walltime
from nunatak.simulate.shape import Shape

JOBFILES = 3000
SHAPES = {"20-node blocks": Shape(), "one-node blocks": Shape(nodes=1, max_blocks=100)}
DRAWS = {
    "lognormal, median 9 h, sigma 0.55, cut at 47.5 h": lognormal(),
    "bimodal, 1 h and (3 of 10) 30 h": bimodal(),
    "heavy tail, Pareto from 2 h, index 1.2, cut at 47.5 h": heavy_tail(),
    "all equal, 13 h": equal(13.0),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of a table."""

    what: str
    policy: Callable[[Shape], Policy]
    noise: float | None = None
    #: By shape, for the lognormal campaign: (from, to).
    wanted: tuple[tuple[float, float], tuple[float, float]] | None = None


ALWAYS = "always start"
ROWS = (
    Row(what='"48 h left"', policy=full_walltime, wanted=((0.32, 0.38), (0.74, 0.80))),
    Row(what=ALWAYS, policy=lambda _: InOrder(), wanted=((0.66, 0.72), (0.81, 0.87))),
    Row(what="chance >= 25 %", policy=lambda _: ByChance()),
    Row(what="ours, no estimates", policy=lambda _: Learned(), wanted=((0.80, 1), (0.80, 1))),
    Row(what="ours, estimates ±30 %", policy=lambda _: Learned(), noise=0.30, wanted=((0.91, 1), (0.91, 1))),
    Row(what="ours, estimates ±15 %", policy=lambda _: Learned(), noise=0.15, wanted=((0.94, 1), (0.94, 1))),
    Row(what="ours, perfect estimates", policy=lambda _: Learned(), noise=0.0, wanted=((0.98, 1), (0.98, 1))),
)


def accounts(row: Row, shape: Shape, draw: Draw, seeds: int, count: int = JOBFILES) -> list[Account]:
    def one(seed: int) -> Account:
        return Run(shape=shape, policy=row.policy(shape), jobfiles=campaign(draw, count, seed=seed, noise=row.noise)).account()

    return [one(seed) for seed in range(seeds)]


def mean(found: list[Account], of: Callable[[Account], float]) -> float:
    return statistics.mean(of(account) for account in found)


def verdict(value: float, wanted: tuple[float, float]) -> str:
    low, high = wanted
    said = f"{low:g} to {high:g}" if high < 1 else f">= {low:g}"
    return said if low <= value <= high else f"{said} MISSED"


def table(shape_name: str, draw_name: str, seeds: int) -> int:
    """Prints one; how many figures were missed."""
    shape, draw, missed, always = SHAPES[shape_name], DRAWS[draw_name], 0, 0.0
    print(f"\n### {shape_name}, {draw_name}\n\n| policy | useful/charged (each seed) | cut | idle | hours | wanted |")
    print("|---|---|---|---|---|---|")
    for row in ROWS:
        found = accounts(row, shape, draw, seeds)
        value = mean(found, lambda account: account.yielded)
        always = value if row.what == ALWAYS else always
        wanted = ""
        if draw_name.startswith("lognormal") and row.wanted:
            wanted = verdict(value, row.wanted[shape.nodes == 1])
        elif row.what.startswith("ours"):
            wanted = verdict(value, (math.floor(always * 1000) / 1000, 1.0))
        missed += "MISSED" in wanted
        each = " ".join(f"{account.yielded:.2f}" for account in found)
        cut, idle = mean(found, lambda account: account.cut / account.charged), mean(found, lambda account: account.idle / account.charged)
        left = sum(account.left for account in found)
        note = f", {left} never ended" if left else ""
        hours = mean(found, lambda account: account.hours)
        print(f"| {row.what}{note} | {value:.3f} ({each}) | {cut:.3f} | {idle:.3f} | {hours:.0f} | {wanted} |", flush=True)
    return missed


def renewal(draw: Draw, walltime_h: float = 48.0, step_h: float = 0.05, samples: int = 200_000) -> float:
    """Useful part of a slot's walltime if one jobfile of which nothing is known follows another: U(r) = E[X + U(r - X); X <= r].

    No order that uses nothing but the distribution does better with jobfiles that were never tried, where a block is charged to its end.
    """
    rng, size = random.Random(1), round(walltime_h / step_h)
    mass = [0.0] * (size + 1)
    for _ in range(samples):
        place = math.ceil(draw(rng) / HOUR_S / step_h)
        if place <= size:
            mass[place] += 1.0 / samples
    useful = [0.0]
    for rest in range(1, size + 1):
        useful.append(sum(mass[took] * (took * step_h + useful[rest - took]) for took in range(1, rest + 1)))
    return useful[-1] / walltime_h


def bounds() -> None:
    draw = DRAWS["lognormal, median 9 h, sigma 0.55, cut at 47.5 h"]
    print("\n### Bounds, lognormal, 20-node blocks\n")
    print(f"one slot, nothing known but the distribution, endless supply: {renewal(draw):.3f}, an upper bound without estimates")
    print("but for what interrupted jobfiles show and for ending blocks early")
    shape, ours = SHAPES["20-node blocks"], ROWS[3]
    long = accounts(ours, shape, draw, 1, 10 * JOBFILES)
    print(f"ours without estimates, ten times the jobfiles, so that the campaign's end weighs little: {long[0].yielded:.3f}")
    waits = Shape(queue_wait_s=60.0)
    for row in (ROWS[1], ours):
        value = mean(accounts(row, waits, draw, 3), lambda account: account.yielded)
        print(f"{row.what}, if a block starts a minute after its predecessor's end and not in the same moment: {value:.3f}")


def main(seeds: int) -> int:
    missed = sum(table(shape, draw, seeds) for draw in DRAWS for shape in SHAPES)
    bounds()
    print(f"\n{missed} figures missed" if missed else "\nall figures reached")
    return missed > 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
