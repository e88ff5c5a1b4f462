"""What waits, in groups that are alike in where they fit: read from the server's lanes, without reading a campaign of a million."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import redis

from broker import keys
from broker.records import Campaign, State, WorkerSeen
from broker.scripts import translated
from launcher.demand import Nodes, Waiting
from nunatak.shown import heard_of

#: Lane -> its tickets.
Lanes = Mapping[str, int]


def read_lanes(client: "redis.Redis") -> Lanes:
    """How many tickets lie in each lane; some may be of jobfiles that wait no more."""
    # redis-py types every answer as bytes or str; ours decode (broker/client.py).
    untyped: Any = client
    with translated():
        lanes: list[str] = untyped.zrange(keys.LANES, 0, -1)
        pipe = untyped.pipeline(transaction=False)
        for lane in lanes:
            pipe.llen(f"lane:{lane}")
        return dict(zip(lanes, pipe.execute(), strict=True))


def waiting_of(campaigns: Iterable[Campaign], lanes: Lanes) -> list[Waiting]:
    """The groups that wait, of campaigns that are not paused. The campaigns' own counts are the truth, the lanes say what they are like."""
    by_campaign: dict[str, dict[tuple[int, float], int]] = defaultdict(lambda: defaultdict(int))
    for lane, tickets in lanes.items():
        _, per_node, estimate_s, number = lane.split(".")
        by_campaign[number][int(per_node), float(estimate_s)] += tickets
    return [group for c in campaigns if not c.paused for group in _groups(c, by_campaign.get(c.number, {}))]


def _groups(campaign: Campaign, tickets: Mapping[tuple[int, float], int]) -> Iterator[Waiting]:
    left = campaign.counts[State.QUEUED]
    for (per_node, estimate_s), count in tickets.items():
        if taken := min(left, count):
            yield Waiting(campaign=campaign.name, count=taken, per_node=per_node, estimate_s=estimate_s)
            left -= taken
    if left > 0:
        # Those that wait beside the lanes: suspects, and what may come back with its node.
        yield Waiting(campaign=campaign.name, count=left, per_node=int(campaign.options.get("per_node") or 0))


def nodes_of(workers: Sequence[WorkerSeen], lease_s: float) -> dict[str, Nodes]:
    """Block -> its nodes that are in contact, and those of them that run nothing and would take something."""
    found: dict[str, Nodes] = {}
    for worker in heard_of(workers, lease_s):
        before = found.get(worker.block, Nodes())
        is_free = worker.state == "running" and not worker.running
        found[worker.block] = Nodes(heard=before.heard + 1, free=before.free + is_free)
    return found
