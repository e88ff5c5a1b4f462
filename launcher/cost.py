"""What blocks cost, in service units (SU): what a submission can cost at most, what was spent, and how many more a budget allows."""

import math
from collections.abc import Iterable

from launcher.block import Block
from launcher.site import Site


def su_max(site: Site, count: int) -> float | None:
    """What so many blocks can cost at most; None: nobody can say, for the site gives no walltime."""
    return None if site.block_su_max is None else count * site.block_su_max


def su_committed(blocks: Iterable[Block], now: float) -> float | None:
    """What these blocks have cost, and can still cost: one that is over its real price, any other one its highest; None: nobody can say."""
    total = 0.0
    for block in blocks:
        cost = block.su(now) if block.state.is_over else block.su_max
        if cost is None:
            return None
        total += cost
    return total


def affordable(site: Site, blocks: Iterable[Block], max_su: float | None, now: float) -> int | None:
    """How many more blocks of the site `max_su` allows beside these, all at their highest price; None: any number."""
    one = site.block_su_max
    if max_su is None or one == 0:
        return None
    committed = su_committed(blocks, now)
    if one is None or committed is None:
        return 0
    # A budget of 0.3 is enough for three blocks of 0.1.
    return max(0, math.floor((max_su - committed) / one + 1e-9))


def format_su(su: float | None) -> str:
    """`1,250 SU`; two digits of less than ten."""
    if su is None:
        return "an unknown number of SU"
    return f"{su:,.2f} SU" if 0 < su < 10 else f"{su:,.0f} SU"
