"""Clocks: this host's, the server's, a node's. Leases use the server's alone; deadlines and records compare two."""

from dataclasses import dataclass

from nunatak.doctor.finding import Finding, bad, ok, warning

_WARN_S, _BAD_S = 5.0, 60.0


@dataclass(frozen=True, kw_only=True)
class Skew:
    """How far one clock is ahead of another (seconds), known to within half of the question's time."""

    #: "this host", "node c101-001".
    whose: str
    #: "the server", "this host".
    of: str
    ahead_s: float
    within_s: float


def judge_clock(skew: Skew) -> Finding:
    off = max(0.0, abs(skew.ahead_s) - skew.within_s)
    text = f"{skew.whose} is {abs(skew.ahead_s):.1f} s {'ahead of' if skew.ahead_s >= 0 else 'behind'} {skew.of}"
    if off < _WARN_S:
        return ok("clock", text)
    remedy = "tell the site that its hosts' clocks differ: a node may leave later than its block ends, and its jobfiles would be killed"
    return (bad if off >= _BAD_S else warning)("clock", text, remedy)
