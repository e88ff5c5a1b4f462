"""Putting jobfiles into the queue: their identity, their lane, and batches that may be repeated."""

import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from broker import keys
from broker.scripts import Scripts

#: Jobfiles per script; 500 keep the server busy for about 10 ms.
CHUNK = 500
#: Waiting jobfiles of similar length share a lane; a quarter of an hour makes at most 192 lanes of 48 hours.
ESTIMATE_STEP_S = 900


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One jobfile to enqueue."""

    name: str
    priority: int
    #: Jobfiles of this kind to a node; 0: as many as there are slots.
    per_node: int = 0
    #: How long it takes, if known, in seconds; 0: unknown.
    estimate_s: float = 0.0
    #: Options that its own header sets ('priority', 'per_node', 'time'): a change of the campaign's leaves them.
    own: tuple[str, ...] = ()
    #: 'present', 'absent', or 'unknown' if the done rule cannot tell.
    outputs: str = "unknown"


@dataclass(frozen=True, kw_only=True)
class Enqueued:
    """What became of one batch of entries."""

    #: One word per entry, as in lua/enqueue.lua.
    words: tuple[str, ...]

    @property
    def counts(self) -> Counter[str]:
        return Counter(word.split()[0] for word in self.words)


def job_id(directory: str, name: str) -> str:
    """A jobfile's identity: the real path of its directory and its name (LEASES rule 23). 80 bits: 1e-12 for a clash in a million."""
    return hashlib.blake2b(os.fsencode(f"{directory}/{name}"), digest_size=10).hexdigest()


def lane(priority: int, per_node: int, estimate_s: float, campaign: str) -> str:
    """The lane a jobfile waits in; its name carries all that a claim decides by."""
    group = math.ceil(estimate_s / ESTIMATE_STEP_S) * ESTIMATE_STEP_S
    return f"{priority}.{per_node}.{group}.{campaign}"


def _chunks(entries: Sequence[Entry]) -> Iterator[tuple[int, Sequence[Entry]]]:
    for number, start in enumerate(range(0, len(entries), CHUNK)):
        yield number, entries[start : start + CHUNK]


def enqueue(
    scripts: Scripts, *, batch: str, campaign: str, directory: str, entries: Sequence[Entry], again: bool = False, dry_run: bool = False
) -> Enqueued:
    """Enqueue jobfiles of one directory into campaign number `campaign`.

    Repeating it with the same `batch` returns the first answer, so it may be retried after `Unreachable`. Raises QueueFull at the
    server's memory limit: the chunks before are in, which a repetition finds.
    """
    words: list[str] = []
    for number, chunk in _chunks(entries):
        flat = [
            x
            for e in chunk
            for x in (job_id(directory, e.name), e.name, lane(e.priority, e.per_node, e.estimate_s, campaign), " ".join(e.own), e.outputs)
        ]
        words += scripts.enqueue(f"{batch}:{number}", campaign, directory, int(dry_run), int(again), *flat)
    return Enqueued(words=tuple(words))


def campaign_number(scripts: Scripts, name: str) -> str | None:
    """The number of a campaign, None if there is none of that name."""
    number = scripts.client.hget(keys.CAMPAIGNS, name)
    return None if number is None else str(number)
