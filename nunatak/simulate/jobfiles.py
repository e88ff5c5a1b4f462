"""Campaigns to simulate: how long their jobfiles really take, which nobody knows, and what is estimated."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

HOUR_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Jobfile:
    """One of a simulated campaign."""

    id: int
    #: What it takes, uninterrupted.
    duration_s: float
    #: What is said of it; None: nothing.
    estimate_s: float | None = None


#: Draws one duration in seconds.
Draw = Callable[[random.Random], float]


def lognormal(median_h: float = 9.0, sigma: float = 0.55, most_h: float = 47.5) -> Draw:
    """Durations as those of a DEM production: many of some hours, a long tail, cut off."""
    return lambda rng: HOUR_S * min(most_h, median_h * math.exp(sigma * rng.gauss(0.0, 1.0)))


def bimodal(short_h: float = 1.0, long_h: float = 30.0, long_part: float = 0.3, spread: float = 0.1) -> Draw:
    """Two kinds that nothing tells apart."""
    return lambda rng: HOUR_S * (long_h if rng.random() < long_part else short_h) * rng.uniform(1 - spread, 1 + spread)


def heavy_tail(least_h: float = 2.0, index: float = 1.2, most_h: float = 47.5) -> Draw:
    """Pareto's distribution, cut off."""
    return lambda rng: HOUR_S * min(most_h, least_h * rng.paretovariate(index))


def equal(duration_h: float = 9.0) -> Draw:
    """All take the same time."""
    return lambda _: HOUR_S * duration_h


def campaign(draw: Draw, count: int, *, seed: int, noise: float | None = None) -> list[Jobfile]:
    """So many jobfiles. `noise`: each has an estimate that is off by up to that part, evenly; 0: perfect; None: there are no estimates."""
    rng, error = random.Random(seed), random.Random(seed + 1_000_003)
    found = []
    for number in range(count):
        duration = draw(rng)
        estimate = None if noise is None else duration * error.uniform(1 - noise, 1 + noise)
        found.append(Jobfile(id=number, duration_s=duration, estimate_s=estimate))
    return found
