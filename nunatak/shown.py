"""The JSON shapes of the contract: what `status`, `jobs` and `workers` print with `--json`, as pure functions of records.

The keys are a contract (docs/decisions.md): names and meanings stay, new keys may be added at the end only.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from broker.records import Attempt, Campaign, Job, State, WorkerSeen

#: Shown in this order everywhere.
STATES = tuple(State)


def as_json(value: object) -> str:
    """One line of JSON; a name that is not UTF-8 keeps its bytes as escaped surrogates."""
    return json.dumps(value)


def elapsed_s(job: Job, now_s: float) -> float | None:
    """Seconds of the latest attempt; of a running one, so far, by the server's clock."""
    if job.state is State.RUNNING and job.latest.started_at is not None:
        return round(max(0.0, now_s - job.latest.started_at), 3)
    return job.latest.elapsed_s


def job_line(job: Job, now_s: float) -> dict[str, Any]:
    """One line of `nunatak jobs --json`; what is not known (yet) is null. Times are Unix seconds."""
    latest = job.latest
    return {
        "jobfile": job.path,
        "campaign": job.campaign,
        "state": job.state.value,
        "attempt": latest.number,
        "failures": job.failures,
        "deliveries": job.deliveries,
        "priority": job.priority,
        "exit_code": latest.exit_code,
        "reason": latest.reason,
        "node": latest.node,
        "block": latest.block,
        "queued_at": job.queued_at,
        "started_at": latest.started_at,
        "ended_at": latest.ended_at,
        "elapsed_s": elapsed_s(job, now_s),
        "cpu_s": latest.cpu_s,
        "max_rss_mb": latest.max_rss_mb,
    }


def attempt_line(attempt: Attempt) -> dict[str, Any]:
    """One attempt in `nunatak show --json` and in a campaign's export."""
    return {
        "attempt": attempt.number,
        "ending": attempt.ending,
        "reason": attempt.reason,
        "exit_code": attempt.exit_code,
        "signal": attempt.signal,
        "node": attempt.node,
        "block": attempt.block,
        "worker": attempt.worker,
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "elapsed_s": attempt.elapsed_s,
        "cpu_s": attempt.cpu_s,
        "max_rss_mb": attempt.max_rss_mb,
        "fingerprint": attempt.fingerprint,
    }


def attempts(job: Job) -> list[Attempt]:
    """Every start of a jobfile, the first one first; a record without a start (found done, waiting) has none."""
    return [*job.earlier, *([job.latest] if job.latest.started_at is not None else [])]


def history_line(job: Job, now_s: float) -> dict[str, Any]:
    """A jobfile with all its attempts: `nunatak show --json`, and one line of the export that `forget` writes."""
    return {**job_line(job, now_s), "skipped": job.skipped, "losses": job.losses, "attempts": [attempt_line(a) for a in attempts(job)]}


def worker_line(worker: WorkerSeen) -> dict[str, Any]:
    """One line of `nunatak workers --json`."""
    return {
        "worker": worker.worker,
        "node": worker.node,
        "block": worker.block,
        "site": worker.site,
        "pid": worker.pid,
        "guard_pid": worker.guard_pid,
        "slots": worker.slots,
        "running": worker.running,
        "frozen": worker.frozen,
        "state": worker.state,
        "last_contact_s": round(worker.last_contact_s, 3),
    }


#: Option of a campaign -> the name it has on the command line, in the order shown; `set` takes the same names.
OPTION_NAMES: Mapping[str, str] = {
    "done": "done",
    "per_node": "per_node",
    "priority": "priority",
    "retries": "retries",
    "max_fails": "max_fails",
    "time_s": "time",
    "max_s": "max",
    "cpus": "cpus",
    "mem_mb": "mem",
    "logs": "logs",
    "checkpoint_signal": "checkpoint_signal",
    "grace_s": "grace",
}


def campaign_counts(campaign: Campaign) -> dict[str, Any]:
    """A campaign's part of `status --json`: its counts, and why it is paused (null if it is not)."""
    counts = {state.value: campaign.counts[state] for state in STATES}
    return {"total": campaign.total, **counts, "skipped": campaign.skipped, "paused": campaign.paused}


def campaign_line(campaign: Campaign) -> dict[str, Any]:
    """One line of `nunatak campaigns --json`; options keep the names and units they have in the server."""
    options = {name: campaign.options[name] for name in OPTION_NAMES if name in campaign.options}
    return {"campaign": campaign.name, **campaign_counts(campaign), "options": options}


def status_dict(
    campaigns: Sequence[Campaign], heard: Sequence[WorkerSeen], blocks: int, eta: tuple[float, float] | None
) -> dict[str, Any]:
    """`nunatak status --json`; `heard` are the workers that are in contact, `blocks` how many live."""

    def count(state: State) -> int:
        return sum(c.counts[state] for c in campaigns)

    return {
        "total": sum(c.total for c in campaigns),
        **{state.value: count(state) for state in STATES},
        "skipped": sum(c.skipped for c in campaigns),
        "frozen": sum(w.frozen for w in heard),
        "slots": sum(w.slots for w in heard),
        "workers": len(heard),
        "blocks": blocks,
        "eta_s": None if eta is None else [round(eta[0]), round(eta[1])],
        "campaigns": {c.name: campaign_counts(c) for c in campaigns},
    }


def empty_status() -> dict[str, Any]:
    """What `status --json` prints where nothing was ever enqueued."""
    return status_dict([], [], 0, None)


def heard_of(workers: Iterable[WorkerSeen], lease_s: float) -> list[WorkerSeen]:
    """Workers in contact: a lease not renewed for `lease_s` is lost, so whoever is silent for longer holds nothing."""
    return [w for w in workers if w.last_contact_s <= lease_s]
