"""Leases without Celery: claim, renew, settle and hand back jobfiles, typed."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from broker.claim import Claim, parse_claim
from broker.scripts import Scripts


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who claims: one worker on one node of one block."""

    worker: str
    node: str
    block: str

    def __json__(self) -> str:
        """`celery inspect stats` sends the transport's options around."""
        return self.worker


@dataclass(frozen=True, kw_only=True)
class Room:
    """What the holder's node has left for one more jobfile."""

    #: The share of the node that nothing runs on, 0 to 1.
    free_share: float
    #: The share that a jobfile without `per_node` takes: one slot.
    slot_share: float
    #: Seconds until the block ends; None: it has no end.
    remaining_s: float | None = None
    #: Numbers of the campaigns that the block was submitted for; empty: all.
    campaigns: tuple[str, ...] = ()


class Phase(Enum):
    """How far a claim has come, as its holder tells the broker."""

    #: Claimed; nothing of it runs yet.
    HELD = "held"
    #: Its processes run, or have ended and are about to be settled.
    RUNNING = "running"


class Word(Enum):
    """What the broker says of a claim at a renewal; a word that is not listed here is an error, never an end."""

    #: The lease lasts on.
    RENEWED = "renewed"
    #: It lasts on, but the user wants the jobfile ended.
    CANCEL = "cancel"
    #: The lease ran out; nobody has started the jobfile since: take it back.
    WAITING = "waiting"
    #: This claim was settled or handed back before.
    SETTLED = "settled"
    #: The jobfile is somebody else's, or forgotten: end it here.
    LOST = "lost"


@dataclass(frozen=True, kw_only=True)
class Held:
    """A claim as it is renewed."""

    job_id: str
    token: str
    phase: Phase
    #: How long its processes have run, by the holder's clock.
    age_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Renewal:
    """The broker's answer to one renewal of all of a worker's claims."""

    #: How long the claims may run from the moment the renewal was sent without another one: lease less margin.
    safe_s: float
    #: The counter of the last beat; the heartbeat file must follow it (LEASES rule 11).
    counter: int
    #: For how long a beat lets the server act.
    fresh_s: float
    #: One word per claim, in the order asked.
    words: tuple[Word, ...]
    #: That the worker is given nothing more: 'drain' or 'bad', and why; None: it may claim.
    told: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an attempt ended, for the ledger. `tasks/ending.py` decides it."""

    #: 'done', 'skipped' (outputs were there), 'failed' or 'cancelled'.
    verdict: str
    reason: str
    exit_code: int | None = None
    signal: int | None = None
    #: Seconds from start to end; None if nothing was started.
    elapsed_s: float | None = None
    cpu_s: float | None = None
    max_rss_mb: float | None = None
    counts_as_failure: bool = False
    retry: bool = False
    #: Digest of the jobfile's text as it ran: it may be edited while it waits.
    fingerprint: str = ""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What became of a settle."""

    #: False: the claim is not the caller's (any more), nothing was changed.
    accepted: bool
    #: The jobfile's state now.
    state: str


#: Used when a campaign does not say how often a failed jobfile is tried again.
DEFAULT_RETRIES = 3


def new_token() -> str:
    """A claim's secret: made by the caller, so that a claim whose answer is lost can be asked for again."""
    return secrets.token_hex(12)


def claim_arguments(token: str, holder: Holder, room: Room) -> list[Any]:
    """The arguments of `claim`, for callers that send the command themselves (the kombu transport)."""
    remaining = "" if room.remaining_s is None else f"{room.remaining_s:.0f}"
    return [token, holder.worker, holder.node, holder.block, f"{room.free_share:.9f}", f"{room.slot_share:.9f}", remaining, *room.campaigns]


def settle_arguments(job_id: str, token: str, outcome: Outcome) -> list[Any]:
    def shown(value: float | None, digits: int = 0) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    elapsed_ms = None if outcome.elapsed_s is None else outcome.elapsed_s * 1000
    return [
        job_id, token, outcome.verdict, outcome.reason, shown(outcome.exit_code), shown(outcome.signal), shown(elapsed_ms),
        shown(outcome.cpu_s, 3), shown(outcome.max_rss_mb, 1), int(outcome.counts_as_failure), int(outcome.retry), DEFAULT_RETRIES,
        outcome.fingerprint,
    ]  # fmt: skip


class Leases:
    """The holder's verbs; each may be repeated after an `Unreachable`."""

    def __init__(self, scripts: Scripts) -> None:
        self.scripts = scripts

    def claim(self, token: str, holder: Holder, room: Room) -> Claim | None:
        """The first waiting jobfile that fits, or None. The same token gets the same jobfile again."""
        reply = self.scripts.claim(*claim_arguments(token, holder, room))
        while reply[0] == "again":
            reply = self.scripts.claim(*claim_arguments(token, holder, room))
        return parse_claim(reply, token)

    def renew(self, worker: str, said: str, held: Sequence[Held], *, node: str = "", block: str = "") -> Renewal:
        """Renew all claims of a worker at once; `said` (JSON) is what `nunatak workers` shows of it."""
        flat = [x for h in held for x in (h.job_id, h.token, h.phase.value, round(h.age_s * 1000))]
        safe_ms, counter, fresh_ms, refusal, why, *words = self.scripts.renew(worker, node, block, said, *flat)
        return Renewal(
            safe_s=int(safe_ms) / 1000, counter=int(counter), fresh_s=int(fresh_ms) / 1000, words=tuple(Word(w) for w in words),
            told=(refusal, why) if refusal else None,
        )

    def take_back(self, job_id: str, token: str) -> float | None:
        """Safe seconds if the jobfile is the caller's again, None if somebody else has started it."""
        held, safe_ms = self.scripts.take_back(job_id, token)
        return safe_ms / 1000 if held else None

    def settle(self, job_id: str, token: str, outcome: Outcome) -> Settled:
        word, state = self.scripts.settle(*settle_arguments(job_id, token, outcome))
        return Settled(accepted=word == "settled", state=state)

    def settle_all(self, ended: Sequence[tuple[str, str, Outcome]], ask: Sequence[Any] = ()) -> tuple[list[Settled], Any]:
        """Settle claims (job id, token, outcome), and claim if `ask` has the arguments for it, in one packet; also the claim's reply."""
        calls = [("settle", settle_arguments(*one)) for one in ended]
        replies = self.scripts.together([*calls, ("claim", ask)] if ask else calls)
        settled = [Settled(accepted=word == "settled", state=str(state)) for word, state in replies[: len(ended)]]
        return settled, replies[-1] if ask else None

    def give_back(self, job_id: str, token: str, *, free: bool, reason: str, elapsed_s: float | None = None) -> bool:
        """Hand a jobfile back, every process of it being dead; `free` if somebody asked for it (LEASES rule 19)."""
        return self.scripts.give_back(job_id, token, free, reason, None if elapsed_s is None else round(elapsed_s * 1000))
