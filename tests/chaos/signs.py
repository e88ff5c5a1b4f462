"""What the faults' tests share: leases on which an outage of seconds counts, and when exactly a jobfile stood still."""

from itertools import pairwise
from pathlib import Path

from whole.machine import Machine

#: Leases of seconds on which a standing broker can be proved: looks for 3 x 0.8 s fit well into the 5 s that a renewal gives.
LEASE_S = 6.0
OUTAGE = {
    "LEASE_LEASE_S": f"{LEASE_S:g}", "LEASE_MARGIN_S": "1", "LEASE_RENEW_EVERY_S": "0.8", "LEASE_BEAT_EVERY_S": "0.2",
    "LEASE_BEAT_FRESH_S": "0.8", "LEASE_REAP_EVERY_S": "0.2",
}  # fmt: skip
#: A jobfile says every tenth of a second that it runs; on a busy machine a little later.
STUTTER_S = 2.0


def until(go: Path) -> str:
    """Lines of a jobfile that goes on for as long as `go` is not there."""
    return f"until [ -e {go} ]; do sleep 0.1; say tick; done"


def signs(machine: Machine, name: str, token: str = "") -> list[float]:
    """When a jobfile has said anything; of one attempt only, if its token is given."""
    lines = map(str.split, machine.log.path.read_text().splitlines())
    return sorted(float(words[0]) for words in lines if words[2] == name and token in ("", words[3]))


def longest_pause(machine: Machine, name: str, since: float, to: float) -> float:
    """The longest time between `since` and `to` that a jobfile has said nothing."""
    times = [since, *(t for t in signs(machine, name) if since < t < to), to]
    return max(b - a for a, b in pairwise(times))
