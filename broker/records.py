"""What the ledger holds, as values: jobfiles, campaigns, workers, blocks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """Where a jobfile is; exactly one of these."""

    #: Waits for a worker.
    QUEUED = "queued"
    #: Claimed by a worker, which renews its lease.
    RUNNING = "running"
    #: Its outputs are there.
    DONE = "done"
    #: It ended badly and is not tried again by itself.
    FAILED = "failed"
    #: Lost with its node too often; a person should look before it is tried again.
    QUARANTINED = "quarantined"
    #: Ended by its user.
    CANCELLED = "cancelled"


#: States that a jobfile does not leave by itself.
ENDED = (State.DONE, State.FAILED, State.QUARANTINED, State.CANCELLED)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One start of a jobfile; what is not known (yet) is None."""

    number: int
    node: str | None
    block: str | None
    worker: str | None
    #: 'done', 'skipped', 'failed', 'handed_back', 'lost', 'cancelled'; None while it runs.
    ending: str | None
    reason: str | None
    exit_code: int | None
    signal: int | None
    #: Unix seconds, by the server's clock.
    started_at: float | None
    ended_at: float | None
    elapsed_s: float | None
    cpu_s: float | None
    max_rss_mb: float | None
    #: Digest of the text that ran.
    fingerprint: str | None


@dataclass(frozen=True, kw_only=True)
class Job:
    """One jobfile's record."""

    job_id: str
    directory: str
    name: str
    campaign: str
    state: State
    priority: int
    per_node: int
    failures: int
    deliveries: int
    losses: int
    #: True: its user has asked to end it, its holder has not done so yet.
    cancelling: bool
    #: True: its outputs were there, it was not run.
    skipped: bool
    queued_at: float | None
    #: The latest attempt; number 0 if it was never started.
    latest: Attempt
    #: Earlier attempts, the first one first.
    earlier: tuple[Attempt, ...]

    @property
    def path(self) -> str:
        return f"{self.directory}/{self.name}"


def _number(fields: Mapping[str, str], name: str) -> float | None:
    return float(fields[name]) if fields.get(name) else None


def _whole(fields: Mapping[str, str], name: str) -> int | None:
    return int(fields[name]) if fields.get(name) else None


def _seconds(fields: Mapping[str, str], name: str) -> float | None:
    return int(fields[name]) / 1000 if fields.get(name) else None


def _attempt(number: int, fields: Mapping[str, str]) -> Attempt:
    return Attempt(
        number=number,
        node=fields.get("node"),
        block=fields.get("block"),
        worker=fields.get("worker"),
        ending=fields.get("ending"),
        reason=fields.get("reason"),
        exit_code=_whole(fields, "exit_code"),
        signal=_whole(fields, "signal"),
        started_at=_seconds(fields, "started_at"),
        ended_at=_seconds(fields, "ended_at"),
        elapsed_s=_seconds(fields, "elapsed_ms"),
        cpu_s=_number(fields, "cpu_s"),
        max_rss_mb=_number(fields, "max_rss_mb"),
        fingerprint=fields.get("fingerprint"),
    )


def parse_job(job_id: str, fields: Mapping[str, str], directory: str, campaign: str) -> Job:
    """A `job:<id>` hash as a value."""
    priority, per_node, *_ = fields["lane"].split(".")
    number = int(fields.get("attempt", 0))
    if f"attempt:{number}" in fields and fields["state"] == State.RUNNING.value:
        # Archived when it was claimed again: the latest is the one that the present claim has not started yet.
        number += 1
    earlier = sorted(int(f.removeprefix("attempt:")) for f in fields if f.startswith("attempt:"))
    return Job(
        job_id=job_id,
        directory=directory,
        name=fields["name"],
        campaign=campaign,
        state=State(fields["state"]),
        priority=int(priority),
        per_node=int(per_node),
        failures=int(fields.get("failures", 0)),
        deliveries=int(fields.get("deliveries", 0)),
        losses=int(fields.get("losses", 0)),
        cancelling="cancel" in fields,
        skipped="skipped" in fields,
        queued_at=_seconds(fields, "queued_at"),
        latest=_attempt(number, fields),
        earlier=tuple(_attempt(n, json.loads(fields[f"attempt:{n}"])) for n in earlier),
    )


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """An enqueued directory with its options, and how far it is."""

    name: str
    number: str
    #: Options as text, as the worker reads them (retries, done, per_node, priority, logs, …).
    options: dict[str, str]
    #: How many jobfiles are in each state.
    counts: dict[State, int]
    #: Those of `done` that were found done and not run.
    skipped: int
    #: Why nothing of it is started, None if it is not paused.
    paused: str | None

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def has_ended(self) -> bool:
        return all(self.counts[s] == 0 for s in (State.QUEUED, State.RUNNING))


def parse_campaign(name: str, number: str, options: dict[str, str], counts: Mapping[str, str]) -> Campaign:
    return Campaign(
        name=name,
        number=number,
        options=options,
        counts={state: int(counts.get(state.value, 0)) for state in State},
        skipped=int(counts.get("skipped", 0)),
        paused=options.get("paused"),
    )


@dataclass(frozen=True, kw_only=True)
class WorkerSeen:
    """A worker, as it described itself at its last renewal."""

    worker: str
    node: str
    block: str
    site: str
    pid: int
    guard_pid: int
    slots: int
    running: int
    frozen: int
    #: 'running'; 'draining' or 'bad' once it is given nothing more; 'leaving' once it asks for nothing more.
    state: str
    #: Seconds since it was last heard of, by the server's clock.
    last_contact_s: float


def parse_worker(worker: str, seen: str, now_s: float) -> WorkerSeen:
    entry = json.loads(seen)
    said = json.loads(entry["said"])
    return WorkerSeen(worker=worker, last_contact_s=now_s - int(entry["at"]) / 1000, **said)


@dataclass(frozen=True, kw_only=True)
class BadNode:
    """A node that is given nothing more in one block, because what does well elsewhere fails there at once."""

    node: str
    block: str
    #: Unix seconds, by the server's clock.
    since: float
    reason: str


def parse_bad_node(place: str, told: str) -> BadNode:
    node, _, block = place.partition(" ")
    entry = json.loads(told)
    return BadNode(node=node, block=block, since=entry["since"] / 1000, reason=entry["reason"])


@dataclass(frozen=True, kw_only=True)
class BlockSeen:
    """A block's recorded fields; `launcher` says what they mean."""

    block: str
    fields: dict[str, str]
