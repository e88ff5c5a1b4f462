"""What happened lately, read from the server's events and ended jobfiles without reading a campaign of a million."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import redis

from broker import keys
from broker.records import State
from broker.scripts import translated

#: Events read for durations, the newest first: with starts and enqueues among them, some hundred ends.
_EVENTS = 1000
#: Bad ends grouped by reason, of each state, the newest first.
_BAD_ENDS = 500
#: The lease of a server that has never had a beat; broker/settings.py has the same default.
_DEFAULT_LEASE_S = 300.0


@dataclass(frozen=True, kw_only=True)
class BadEnds:
    """Jobfiles of one campaign that ended badly for one reason."""

    campaign: str
    state: State
    reason: str
    #: How many of the latest ones (at most 500 of each state are read).
    count: int
    #: The latest of them.
    jobfile: str


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """What the broker's last beat says of time."""

    lease_s: float
    #: Server time of the last gap in the beats (restart, stall), Unix seconds; 0: there was none.
    gap_at: float
    #: Nothing is taken back from silent workers before this server time.
    grace_until: float
    #: Since when many nodes are silent at once, whose jobfiles are held for one more lease; 0: they are not.
    hold_since: float = 0.0


class Recent:
    """Reads of the latest events and bad ends; raises Unreachable when the server cannot answer."""

    def __init__(self, client: "redis.Redis") -> None:
        # redis-py types every answer as bytes or str; ours decode (broker/client.py).
        self._client: Any = client

    def durations(self) -> list[float]:
        """Seconds that the jobfiles took that were done last, the latest first."""
        with translated():
            entries = self._client.xrevrange(keys.EVENTS, count=_EVENTS)
        ended = (f for _, f in entries if f.get("event") == "ended" and f.get("verdict") == "done")
        return [int(f["elapsed_ms"]) / 1000 for f in ended if f.get("elapsed_ms")]

    def bad_ends(self) -> list[BadEnds]:
        """The latest jobfiles that failed or were set aside, grouped by campaign and reason, the largest group first."""
        rows = [row for state in (State.FAILED, State.QUARANTINED) for row in self._rows(state)]
        groups: dict[tuple[str, State, str], list[str]] = {}
        for campaign, state, reason, path in rows:
            groups.setdefault((campaign, state, reason), []).append(path)
        found = [BadEnds(campaign=c, state=s, reason=r, count=len(p), jobfile=p[0]) for (c, s, r), p in groups.items()]
        return sorted(found, key=lambda group: -group.count)

    def _rows(self, state: State) -> Iterable[tuple[str, State, str, str]]:
        with translated():
            ids = self._client.zrevrange(keys.ended(state.value), 0, _BAD_ENDS - 1)
            if not ids:
                return
            pipe = self._client.pipeline(transaction=False)
            for job_id in ids:
                pipe.hmget(keys.job(job_id), "campaign", "reason", "directory", "name")
            records = pipe.execute()
            names = {number: name for name, number in self._client.hgetall(keys.CAMPAIGNS).items()}
            directories = self._client.hgetall(keys.DIRECTORIES)
        for campaign, reason, directory, name in records:
            # Forgotten between the two reads.
            if name is not None:
                yield names.get(campaign, "?"), state, reason or "?", f"{directories.get(directory, '?')}/{name}"

    def pulse(self) -> Pulse:
        """The lease's length, and until when nothing is taken back after a gap in the beats."""
        with translated():
            *fields, hold_since = self._client.hmget(keys.BEAT, "lease_ms", "margin_ms", "grace_until", "hold_since")
        if fields[0] is None:
            return Pulse(lease_s=_DEFAULT_LEASE_S, gap_at=0.0, grace_until=0.0)
        lease_s, margin_s, grace_until = (int(field) / 1000 for field in fields)
        held = int(hold_since or 0) / 1000
        return Pulse(lease_s=lease_s, gap_at=grace_until - lease_s - margin_s, grace_until=grace_until, hold_since=held)
