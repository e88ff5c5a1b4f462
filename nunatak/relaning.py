"""When a campaign's options change, its waiting jobfiles go to other lanes; those whose own header decides stay."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import redis

from broker import keys
from broker.enqueue import lane
from broker.records import State
from broker.scripts import Scripts, translated

#: Records per round trip.
_PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class LaneChange:
    """What of a lane a campaign's new options decide; None: not changed."""

    priority: int | None = None
    per_node: int | None = None
    #: How long a jobfile takes, in seconds; 0: unknown again.
    estimate_s: float | None = None

    @property
    def changes_nothing(self) -> bool:
        return self.priority is None and self.per_node is None and self.estimate_s is None


def lane_after(present: str, own: Collection[str], change: LaneChange) -> str:
    """The lane that a jobfile belongs to; `own` names the options ('priority', 'per_node', 'time') that its header sets."""
    priority, per_node, estimate_s, campaign = present.split(".")

    def decided(name: str, now: str, new: float | None) -> float:
        return float(now) if new is None or name in own else new

    return lane(
        int(decided("priority", priority, change.priority)),
        int(decided("per_node", per_node, change.per_node)),
        decided("time", estimate_s, change.estimate_s),
        campaign,
    )


class Relaning:
    """Moves one campaign's jobfiles; may be repeated, and then moves only what an interrupted one has left."""

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self._client: Any = scripts.client

    def apply(self, campaign_number: str, change: LaneChange) -> int:
        """Move them; returns how many of them wait. Those that run or ended badly go to the new lane when they wait again."""
        return sum(self._scripts.relane(list(moves.items())) for moves in self._moves(campaign_number, change))

    def _moves(self, campaign_number: str, change: LaneChange) -> Iterator[Mapping[str, str]]:
        for records in self._pages(campaign_number):
            yield {
                job_id: lane_after(present, own.split(), change)
                for job_id, present, own in records
                if lane_after(present, own.split(), change) != present
            }

    def _pages(self, number: str) -> Iterator[list[tuple[str, str, str]]]:
        """Id, lane and own options of the jobfiles that are this campaign's and may wait (again), in the order of their enqueueing."""
        with translated():
            ids: list[str] = self._client.lrange(keys.campaign_jobs(number), 0, -1)
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            with translated():
                pipe = self._client.pipeline(transaction=False)
                for job_id in page:
                    pipe.hmget(keys.job(job_id), "campaign", "state", "lane", "own")
                records = pipe.execute()
            yield [
                (job_id, present, own or "")
                for job_id, (campaign, state, present, own) in zip(page, records, strict=True)
                if campaign == number and state != State.DONE.value
            ]


def own_options(client: "redis.Redis", job_id: str) -> tuple[str, ...]:
    """The options that a jobfile's own header set when it was enqueued."""
    anything: Any = client
    with translated():
        return tuple((anything.hget(keys.job(job_id), "own") or "").split())
