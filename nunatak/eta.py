"""When the queue will be empty: a range, from how long jobfiles took so far."""

import math
import statistics
from collections.abc import Sequence

#: Half the width of the range, in standard errors: 2 hold 19 times of 20 for a sum of many durations.
_WIDTH = 2.0
#: The relative spread assumed while a single duration is known; the median campaign of the predecessor had 0.55.
_UNKNOWN_SPREAD = 0.55


def _mean_and_error(durations: Sequence[float], left: int) -> tuple[float, float]:
    """The mean duration of those left and its standard error: of the sample that was seen, and of the few that are left."""
    mean = statistics.fmean(durations)
    spread = statistics.stdev(durations) if len(durations) > 1 else mean * _UNKNOWN_SPREAD
    return mean, spread * math.sqrt(1 / len(durations) + 1 / left)


def eta_s(queued: int, running: int, slots: int, durations: Sequence[float]) -> tuple[float, float] | None:
    """Seconds until all have ended, (low, high); None when nothing is known yet.

    `durations` are those of the jobfiles that ended last, `slots` how many run at a time. Low: the waiting ones run without a gap and the
    running ones are about to end. High: the running ones have only begun and the longest comes last (Graham's bound for list scheduling,
    1969: work / slots + (1 - 1 / slots) * longest), but never more rounds than there are, each as long as the longest.
    """
    left = queued + running
    if left == 0:
        return 0.0, 0.0
    if slots < 1 or not durations:
        return None
    mean, error = _mean_and_error(durations, left)
    longest = max(durations)
    low = queued * max(mean - _WIDTH * error, min(durations)) / slots
    graham = left * min(mean + _WIDTH * error, longest) / slots + (1 - 1 / slots) * longest
    high = min(graham, math.ceil(left / slots) * longest)
    return min(low, high), high


def usable_slots(slots_of_workers: Sequence[int], per_nodes: Sequence[int]) -> int:
    """How many run at a time if jobfiles of these shares wait; `per_nodes` has 0 for "as many as there are slots"."""
    widest = math.inf if not per_nodes or 0 in per_nodes else max(per_nodes)
    return sum(int(min(slots, widest)) for slots in slots_of_workers)


def format_eta(eta: tuple[float, float] | None) -> str:
    """For people: `about 3h 10m to 4h 20m`, or one figure where both read alike; empty when nothing is known."""
    if eta is None:
        return ""
    low, high = _rounded(eta[0]), _rounded(eta[1])
    if low == "0s":
        return f"at most {high}"
    return f"about {high}" if low == high else f"about {low} to {high}"


def _rounded(seconds: float) -> str:
    """Two units at most, and no more digits than an estimate deserves."""
    if seconds < 60:
        return f"{math.ceil(seconds)}s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes}m"
    hours, rest = divmod(round(minutes / 10) * 10, 60)
    return f"{hours}h {rest:02d}m" if hours < 24 else f"{hours // 24}d {hours % 24:02d}h"
