"""What is known of jobfiles, campaigns, workers, blocks and sites: reads, but for blocks and sites, which nobody leases, and workers gone.

Every method raises Unreachable when the server cannot answer.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import redis

from broker import keys
from broker.enqueue import job_id
from broker.records import BadNode, BlockSeen, Campaign, Job, State, WorkerSeen, parse_bad_node, parse_campaign, parse_job, parse_worker
from broker.scripts import Scripts, translated

#: Records per round trip.
_PAGE = 500
#: A block counts as live this long after its submission without a worker, and this long after its worker's last word.
_BLOCK_START_S, _BLOCK_SILENCE_S = 120.0, 600.0
#: And one of a cluster, if nobody looks there for it, until this long after it must have ended.
_BLOCK_OVERDUE_S = 3600.0


class Ledger:
    """The server's records, read."""

    def __init__(self, client: "redis.Redis", clock: Callable[[], int] | None = None) -> None:
        # redis-py types every answer as bytes or str; ours decode (broker/client.py).
        self._client: Any = client
        self._scripts = Scripts(client, clock)

    def now_s(self) -> float:
        """The server's clock, Unix seconds."""
        with translated():
            seconds, micros = self._client.time()
        return float(seconds) + float(micros) / 1e6

    def _hashes(self, names: Iterable[str]) -> list[dict[str, str]]:
        with translated():
            pipe = self._client.pipeline(transaction=False)
            for name in names:
                pipe.hgetall(name)
            return list(pipe.execute())

    # -- campaigns ------------------------------------------------------------------------------------------------------------------

    def campaigns(self) -> list[Campaign]:
        """All campaigns, the oldest first."""
        with translated():
            numbers: dict[str, str] = self._client.hgetall(keys.CAMPAIGNS)
        found = sorted(numbers.items(), key=lambda item: int(item[1]))
        flat = self._hashes([k for _, n in found for k in (keys.campaign(n), keys.counts(n))])
        return [parse_campaign(name, n, flat[2 * i], flat[2 * i + 1]) for i, (name, n) in enumerate(found)]

    def campaign(self, name: str) -> Campaign | None:
        return next((c for c in self.campaigns() if c.name == name), None)

    # -- jobfiles -------------------------------------------------------------------------------------------------------------------

    def job(self, identity: str) -> Job | None:
        """One jobfile by its id."""
        return next(self._jobs([identity], self._names(), self._directories()), None)

    def job_at(self, directory: str, name: str) -> Job | None:
        """One jobfile by its directory's real path and its name."""
        return self.job(job_id(directory, name))

    def jobs(self, campaign: str | None = None, state: State | None = None) -> Iterator[Job]:
        """Jobfiles in the order of their enqueueing; those that run or ended badly are found without reading all the others."""
        names, directories = self._names(), self._directories()
        for job in self._jobs(self._ids(names, campaign, state), names, directories):
            if (state is None or job.state is state) and (campaign is None or job.campaign == campaign):
                yield job

    def _ids(self, names: Mapping[str, str], campaign: str | None, state: State | None) -> Iterator[str]:
        with translated():
            if state is State.RUNNING:
                yield from self._client.zrange(keys.LEASES, 0, -1)
            elif state in (State.FAILED, State.QUARANTINED, State.CANCELLED):
                yield from self._client.zrange(keys.ended(state.value), 0, -1)
            else:
                for number, name in names.items():
                    if campaign in (None, name):
                        yield from self._client.lrange(keys.campaign_jobs(number), 0, -1)

    def _jobs(self, ids: Iterable[str], names: Mapping[str, str], directories: Mapping[str, str]) -> Iterator[Job]:
        page: list[str] = []
        seen: set[str] = set()
        for identity in ids:
            # A jobfile that went over to another campaign and came back stands in the list twice.
            if identity not in seen:
                seen.add(identity)
                page.append(identity)
            if len(page) == _PAGE:
                yield from self._page(page, names, directories)
                page = []
        yield from self._page(page, names, directories)

    def _page(self, ids: list[str], names: Mapping[str, str], directories: Mapping[str, str]) -> Iterator[Job]:
        for identity, fields in zip(ids, self._hashes([keys.job(i) for i in ids]), strict=True):
            if fields:
                yield parse_job(identity, fields, directories.get(fields["directory"], "?"), names.get(fields["campaign"], "?"))

    def _names(self) -> dict[str, str]:
        with translated():
            numbers: dict[str, str] = self._client.hgetall(keys.CAMPAIGNS)
        return {n: name for name, n in sorted(numbers.items(), key=lambda item: int(item[1]))}

    def _directories(self) -> dict[str, str]:
        with translated():
            return dict(self._client.hgetall(keys.DIRECTORIES))

    # -- workers and blocks ---------------------------------------------------------------------------------------------------------

    def workers(self) -> list[WorkerSeen]:
        """Every worker that has not said goodbye, those long silent included."""
        with translated():
            seen: dict[str, str] = self._client.hgetall(keys.WORKERS)
        now = self.now_s()
        return [parse_worker(name, said, now) for name, said in sorted(seen.items())]

    def drop_silent_workers(self, after_s: float) -> int:
        """Forget workers that have said nothing for so long; one that lives after all is back with its next renewal."""
        gone = [w.worker for w in self.workers() if w.last_contact_s > after_s]
        if gone:
            with translated():
                self._client.hdel(keys.WORKERS, *gone)
        return len(gone)

    def bad_nodes(self) -> list[BadNode]:
        """Nodes that are given nothing more in a block of theirs, the latest first; each is listed for a week."""
        with translated():
            told: dict[str, str] = self._client.hgetall(keys.BAD_NODES)
        return sorted((parse_bad_node(place, said) for place, said in told.items()), key=lambda n: -n.since)

    def forgive_node(self, node: str, block: str = "") -> int:
        """A person's word that it is well again, in one block or in all; in how many it was bad. It is judged anew."""
        return self._scripts.forgive(node, block)

    def intend(
        self, block_id: str, fields: Mapping[str, str], *, site: str, seen: int | None, max_live: int | None, per_hour: int | None
    ) -> str:
        """Record that a block is about to be submitted, or record nothing and say which rule forbids it (docs/leases.md rule 26).

        `seen` is how many live blocks of the site (those without `ended_at`) the caller has decided by, `max_live` how many there may
        be with this one, `per_hour` how many intents within an hour; None: any number. Returns 'ok', also when repeated after an
        Unreachable; or 'exists', 'paused', 'changed' (not `seen`: look again), 'cap', 'hour'.
        """
        return self._scripts.intend(block_id, fields, site, seen, max_live, per_hour)

    def record_block(self, block_id: str, fields: Mapping[str, str]) -> str:
        """Add or change what is known of a block; another launcher may have written since the caller read it.

        Returns 'recorded'; 'outdated': the block was cancelled or drained meanwhile, or its job id found, and that was kept; 'over': it
        has ended and stays so. A job id that nobody knew is taken in any case: of a block that is over it means that its job lives.
        """
        return self._scripts.record_block(block_id, fields)

    def drain_block(self, block_id: str) -> str:
        """Its workers get nothing more; what runs there ends as it may. 'draining', 'already', 'over' (it has ended), or 'unknown'."""
        return self.drain_blocks([block_id])[0]

    def drain_blocks(self, block_ids: Sequence[str]) -> list[str]:
        """Many at once: one word for each."""
        return self._scripts.drain(block_ids)

    def blocks(self) -> list[BlockSeen]:
        with translated():
            ids: list[Any] = sorted(self._client.smembers(keys.BLOCKS))
        return [BlockSeen(block=i, fields=f) for i, f in zip(ids, self._hashes([keys.block(i) for i in ids]), strict=True)]

    def sites(self) -> dict[str, dict[str, str]]:
        """What launchers remember of each site that they remember anything of."""
        with translated():
            names: list[Any] = sorted(self._client.smembers(keys.SITES))
        return dict(zip(names, self._hashes([keys.site(n) for n in names]), strict=True))

    def site(self, name: str) -> dict[str, str]:
        """The same of one; empty if nobody has recorded anything."""
        return self._hashes([keys.site(name)])[0]

    def record_site(self, name: str, fields: Mapping[str, str]) -> None:
        """Change some fields of a site, an empty text removes one. Write only what is new: another launcher may have changed the others."""
        self._scripts.record_site(name, fields)

    def live_blocks(self) -> list[str]:
        """Blocks that have not ended, as far as the broker knows: an `ended_at` ends them, and so does a long silence of a local one.

        A cluster's block of which no worker is heard is over, too, an hour after its walltime: there need be no launcher to see its end.
        """
        heard = {w.block for w in self.workers() if w.last_contact_s < _BLOCK_SILENCE_S}
        now = self.now_s()

        def lives(block: BlockSeen) -> bool:
            if block.fields.get("ended_at"):
                return False
            if block.block in heard:
                return True
            if block.fields.get("provider") != "local":
                return now < _must_end_at(block.fields) + _BLOCK_OVERDUE_S
            return now - float(block.fields.get("submitted_at") or 0) < _BLOCK_START_S

        return [b.block for b in self.blocks() if lives(b)]

    def is_idle(self) -> bool:
        """Nothing waits, nothing is claimed, no block lives."""
        with translated():
            claimed = self._client.zcard(keys.LEASES)
        # Not by `lanes`: tickets of what was cancelled lie in them until somebody claims.
        waits = any(c.counts[State.QUEUED] for c in self.campaigns())
        return not waits and not claimed and not self.live_blocks()


def _must_end_at(fields: Mapping[str, str]) -> float:
    """When a cluster's block ends at the latest; never, if it has not begun to run or has no walltime."""
    if fields.get("ends_at"):
        return float(fields["ends_at"])
    started_at, walltime_s = fields.get("started_at"), fields.get("walltime_s")
    return float(started_at) + float(walltime_s) if started_at and walltime_s else math.inf
