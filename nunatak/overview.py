"""What `nunatak status` says: the whole queue at one moment, and what its user should know or do."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import PurePath
from typing import Any

import redis

from broker.ledger import Ledger
from broker.records import BadNode, BlockSeen, Campaign, State, WorkerSeen
from launcher.block import Block
from launcher.targets import SiteState
from nunatak.blocks.site_notices import bad_nodes_text, held_text, waiting_text
from nunatak.eta import eta_s, usable_slots
from nunatak.recent import BadEnds, Pulse, Recent
from nunatak.shown import heard_of, status_dict
from tasks.quantity import format_duration

#: Workers silent for longer are no news any more.
_FORGOTTEN_S = 86400.0
#: Reasons of bad ends that are listed for one campaign.
_REASONS = 3


@dataclass(frozen=True, kw_only=True)
class Overview:
    """All that is shown, read at one moment."""

    #: The server's clock, Unix seconds.
    now_s: float
    campaigns: tuple[Campaign, ...]
    workers: tuple[WorkerSeen, ...]
    live_blocks: tuple[str, ...]
    #: Blocks that are recorded as ended: their workers are gone, not silent.
    ended_blocks: frozenset[str]
    durations: tuple[float, ...]
    bad_ends: tuple[BadEnds, ...]
    pulse: Pulse
    #: Jobfiles that run since before the last gap in the beats, counted only while nothing is taken back because of it.
    held_over: int
    #: The blocks of clusters that live, as they were last seen.
    blocks: tuple[Block, ...] = ()
    #: What launchers remember of each site.
    sites: Mapping[str, SiteState] = field(default_factory=dict)
    bad_nodes: tuple[BadNode, ...] = ()

    @property
    def heard(self) -> list[WorkerSeen]:
        return heard_of((w for w in self.workers if w.block not in self.ended_blocks), self.pulse.lease_s)

    @property
    def silent(self) -> list[WorkerSeen]:
        """Workers that have missed their renewals for half a lease and more."""
        return [
            w for w in self.workers
            if w.block not in self.ended_blocks and self.pulse.lease_s / 2 < w.last_contact_s < _FORGOTTEN_S
        ]  # fmt: skip

    @property
    def eta(self) -> tuple[float, float] | None:
        return _eta(self.campaigns, self.heard, self.durations)

    def as_dict(self) -> dict[str, Any]:
        return status_dict(self.campaigns, self.heard, len(self.live_blocks), self.eta)


def read_overview(client: "redis.Redis") -> Overview:
    """Read the server; raises Unreachable when it cannot answer. Costs the same for a thousand and for a million jobfiles."""
    ledger, recent = Ledger(client), Recent(client)
    now_s, pulse = ledger.now_s(), recent.pulse()
    campaigns = ledger.campaigns()
    recorded = ledger.blocks()
    went_badly = any(c.counts[s] for c in campaigns for s in (State.FAILED, State.QUARANTINED))
    return Overview(
        now_s=now_s,
        campaigns=tuple(campaigns),
        workers=tuple(ledger.workers()),
        live_blocks=tuple(ledger.live_blocks()),
        ended_blocks=frozenset(b.block for b in recorded if b.fields.get("ended_at")),
        durations=tuple(recent.durations()),
        bad_ends=tuple(recent.bad_ends()) if went_badly else (),
        pulse=pulse,
        held_over=_held_over(ledger, pulse) if now_s < pulse.grace_until else 0,
        blocks=tuple(Block.from_fields(b.block, b.fields) for b in recorded if _is_clusters(b)),
        sites={name: SiteState.from_fields(fields) for name, fields in ledger.sites().items()},
        bad_nodes=tuple(ledger.bad_nodes()),
    )


def _is_clusters(block: BlockSeen) -> bool:
    return not block.fields.get("ended_at") and block.fields.get("provider", "local") != "local"


def _held_over(ledger: Ledger, pulse: Pulse) -> int:
    started = (job.latest.started_at for job in ledger.jobs(state=State.RUNNING))
    return sum(1 for at in started if at is not None and at < pulse.gap_at)


def _eta(campaigns: Sequence[Campaign], heard: Sequence[WorkerSeen], durations: Sequence[float]) -> tuple[float, float] | None:
    going = [c for c in campaigns if not c.paused]
    queued = sum(c.counts[State.QUEUED] for c in going)
    running = sum(c.counts[State.RUNNING] for c in campaigns)
    if not queued + running and not (campaigns and all(c.has_ended for c in campaigns)):
        # Nothing is enqueued, or what is left waits for its user.
        return None
    per_nodes = [int(c.options.get("per_node") or 0) for c in going if not c.has_ended]
    return eta_s(queued, running, usable_slots([w.slots for w in heard if w.state == "running"], per_nodes), durations)


# -- words ------------------------------------------------------------------------------------------------------------------------------


#: What is said of each state but `done`, in this order.
_WORDS = {
    State.RUNNING: "running",
    State.QUEUED: "waiting",
    State.FAILED: "failed",
    State.QUARANTINED: "quarantined",
    State.CANCELLED: "cancelled",
}


def counts_text(campaign: Campaign) -> str:
    """How far a campaign is: `3,100 of 5,000 done (40 were there), 24 running, 1,871 waiting, 5 failed`."""
    skipped = f" ({campaign.skipped:,} found done)" if campaign.skipped else ""
    others = [f"{campaign.counts[state]:,} {word}" for state, word in _WORDS.items() if campaign.counts[state]]
    return ", ".join([f"{campaign.counts[State.DONE]:,} of {campaign.total:,} done{skipped}", *others])


def paused_text(campaign: Campaign) -> str:
    """Why a campaign is paused and how it goes on."""
    return f"paused: {campaign.paused}. What runs goes on; to start more: nunatak resume {campaign.name}"


def bad_ends_text(bad_ends: Iterable[BadEnds]) -> list[str]:
    """The latest bad ends by reason, each with one jobfile to look at."""
    lines: list[str] = []
    ranked = sorted(bad_ends, key=lambda b: (b.campaign, -b.count))
    for campaign, groups in groupby(ranked, key=lambda b: b.campaign):
        listed = list(groups)
        for bad in listed[:_REASONS]:
            lines.append(f"{campaign}: {bad.count:,} {bad.state.value}: {bad.reason}; see nunatak log {PurePath(bad.jobfile).name}")
        rest = sum(b.count for b in listed[_REASONS:])
        if rest:
            lines.append(f"{campaign}: {rest:,} for other reasons: nunatak jobs --campaign {campaign} --state failed")
    return lines


def silent_text(silent: Sequence[WorkerSeen]) -> list[str]:
    """Workers that have not been heard of for long, and what happens to their jobfiles."""
    if not silent:
        return []
    named = ", ".join(f"{w.worker} on {w.node} ({format_duration(w.last_contact_s)})" for w in silent[:3])
    more = f" and {len(silent) - 3} more" if len(silent) > 3 else ""
    return [f"not heard of lately: {named}{more}; their jobfiles wait again when their leases have run out"]


def grace_text(overview: Overview) -> list[str]:
    """Why silent workers' jobfiles do not wait again yet."""
    if not overview.held_over:
        return []
    until, since = (time.strftime("%H:%M:%S", time.localtime(t)) for t in (overview.pulse.grace_until, overview.pulse.gap_at))
    return [
        f"nothing is taken back from silent workers before {until}: the broker was away until {since}, "
        f"and the holders of {overview.held_over:,} running jobfiles get this long to report"
    ]


def hold_text(overview: Overview) -> list[str]:
    """Why the jobfiles of many nodes that fell silent at once do not wait again yet."""
    if not overview.pulse.hold_since:
        return []
    since, until = (time.strftime("%H:%M:%S", time.localtime(overview.pulse.hold_since + s)) for s in (0, overview.pulse.lease_s))
    return [
        f"nothing is taken back since {since}: many nodes fell silent at once, so it is rather the network than they; "
        f"they have until {until} to report"
    ]


def _nobody_text(overview: Overview) -> list[str]:
    """That nothing is started, because there is nobody to start it."""
    if overview.heard or overview.blocks or not any(c.counts[State.QUEUED] and not c.paused for c in overview.campaigns):
        return []
    return ["no worker is in contact, so nothing of what waits is started; on this machine: nunatak run DIR"]


def notices(overview: Overview) -> list[str]:
    """What a user should know, or do; the most urgent first."""
    sites = [*held_text(overview.sites), *waiting_text(overview.blocks)]
    held = [*grace_text(overview), *hold_text(overview)]
    nodes = [*bad_nodes_text(overview.bad_nodes, overview.live_blocks), *silent_text(overview.silent)]
    return [*_nobody_text(overview), *sites, *held, *nodes, *bad_ends_text(overview.bad_ends)]
