"""One claim in a worker's hands, how far it has come, and how it may end there: values only."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from broker.claim import Claim
from broker.lease import Outcome, Room

#: How long a worker for which nothing fits waits before it asks again.
UNFIT_S = 20.0


class Asker(Enum):
    """Who asks the broker for another jobfile."""

    #: Celery's event loop, over its own connection.
    LOOP = "loop"
    #: The renewer, along with a settle.
    RENEWER = "renewer"


@dataclass(frozen=True, kw_only=True)
class HandBack:
    """The end of a claim whose jobfile has not ended: it waits again."""

    #: True if somebody asked for it (deadline, drain, user); False counts as a loss (LEASES rule 19).
    free: bool
    reason: str
    #: Seconds it had run; None if it was never started.
    elapsed_s: float | None = None


Conclusion = Outcome | HandBack


@dataclass(kw_only=True)
class Holding:
    """One claim and its standing; changed under the lock of Holdings only."""

    claim: Claim
    #: CLOCK_BOOTTIME at which its processes must stand still unless the broker was heard of again (LEASES rule 10).
    deadline: float
    #: CLOCK_BOOTTIME at which it was answered.
    since: float = 0.0
    #: Its task body has begun; until then it is Celery that has it.
    begun: bool = False
    #: CLOCK_BOOTTIME of its start, None until then.
    started: float | None = None
    #: How it ended here; the renewer takes it to the broker.
    conclusion: Conclusion | None = None
    #: The broker has the conclusion, or refused it for good.
    settled: bool = False
    #: Celery has acknowledged the message.
    acknowledged: bool = False
    #: The task body was told to end it.
    cancelled: bool = False


def boottime() -> float:
    """The clock of all deadlines: it counts suspended time too and nobody can set it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, kw_only=True)
class NodeLimits:
    """What one node may hold."""

    #: Jobfiles at a time.
    slots: int
    #: When the block ends, Unix seconds; None: it does not.
    deadline_unix: float | None = None
    #: Numbers of the campaigns it may claim from; empty: all.
    campaigns: tuple[str, ...] = ()


def room_beside(limits: NodeLimits, claims: Iterable[Claim]) -> Room:
    """What the node has left beside these. A jobfile without a share of its own takes one slot's."""
    slot_share = 1.0 / limits.slots
    taken = sum(1.0 / claim.per_node if claim.per_node else slot_share for claim in claims)
    remaining = None if limits.deadline_unix is None else max(0.0, limits.deadline_unix - time.time())
    return Room(free_share=max(0.0, 1.0 - taken), slot_share=slot_share, remaining_s=remaining, campaigns=limits.campaigns)


#: An acknowledgement without a conclusion is Celery's word alone: revoked, Flower's button, an unknown task (LEASES rule 17).
NO_OUTCOME = Outcome(verdict="cancelled", reason="acknowledged without an outcome: revoked, or not a task of ours")

#: Never sent: the broker has told us so itself.
LOST = HandBack(free=False, reason="its lease was lost")
