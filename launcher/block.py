"""A block: what is known of one batch job, and the states that it can be in."""

import enum
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from launcher.process import Process

#: A block's id is part of file names, job names and command lines.
_BLOCK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


class BlockState(enum.Enum):
    """What somebody who knows said of a block; who does not know says UNKNOWN."""

    sentence: str

    def __new__(cls, value: str, sentence: str) -> Self:
        member = object.__new__(cls)
        member._value_ = value
        member.sentence = sentence
        return member

    INTENDED = "intended", "It is about to be submitted, and may have been: its job id is not recorded."
    WAITING = "waiting", "The scheduler has accepted it and has not started it."
    RUNNING = "running", "Its script runs."
    LEAVING = "leaving", "It was asked to end and hands its jobfiles back."
    ENDED = "ended", "Its script ended with exit code 0."
    FAILED = "failed", "Its script ended badly or was never started; the reason says which."
    CANCELLED = "cancelled", "It ended because it was asked to."
    UNKNOWN = "unknown", "Nobody who knows could be asked. It is not known to have ended."

    @property
    def is_over(self) -> bool:
        """It has ended for certain; the only states that free its place."""
        return self in _OVER

    @classmethod
    def parse(cls, text: str) -> "BlockState":
        """The state of this name; any other text is UNKNOWN, never over."""
        return next((state for state in cls if state.value == text), cls.UNKNOWN)


_OVER = frozenset({BlockState.ENDED, BlockState.FAILED, BlockState.CANCELLED})
_LIVE = frozenset(BlockState) - _OVER

#: Which state may follow which. What is over stays so; nobody knows less than "intended" again.
MOVES: Mapping[BlockState, frozenset[BlockState]] = {
    BlockState.INTENDED: frozenset(BlockState) - {BlockState.INTENDED},
    BlockState.WAITING: frozenset({BlockState.RUNNING, BlockState.LEAVING, BlockState.UNKNOWN}) | _OVER,
    BlockState.RUNNING: frozenset({BlockState.WAITING, BlockState.LEAVING, BlockState.UNKNOWN}) | _OVER,
    BlockState.LEAVING: frozenset({BlockState.UNKNOWN}) | _OVER,
    BlockState.UNKNOWN: (_LIVE - {BlockState.UNKNOWN, BlockState.INTENDED}) | _OVER,
    BlockState.ENDED: frozenset(),
    BlockState.FAILED: frozenset(),
    BlockState.CANCELLED: frozenset(),
}


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block, as it is recorded; times are Unix seconds."""

    #: Our own unique name for it; the scheduler's job has it in its name.
    block_id: str
    #: The site's name.
    site: str
    #: Who started it, a name in launcher/providers.py.
    provider: str
    #: The last that is known.
    state: BlockState = BlockState.INTENDED
    #: The scheduler's name for it; a local block's is a process id; empty: not known.
    job_id: str = ""
    #: The campaigns that it works for; empty: all.
    campaigns: tuple[str, ...] = ()
    #: How many nodes it has.
    nodes: int = 1
    #: Jobfiles at once on each node.
    slots: int = 1
    #: When the intent was recorded.
    submitted_at: float = 0.0
    #: When it ends at the latest; None: no limit.
    ends_at: float | None = None
    #: When it was first seen to be over; None: it is not.
    ended_at: float | None = None
    #: When it was asked to end; None: it was not.
    cancelled_at: float | None = None
    #: Why it is in this state, for a person.
    reason: str = ""
    #: A local block's process, by which a later launcher finds it; None: not known, or not a local block.
    process: Process | None = None
    #: The queue that it waits in; empty: the cluster's default.
    partition: str = ""
    #: When it began to run, as its scheduler or its script says; None: it has not, or nobody has said so.
    started_at: float | None = None
    #: How long it may last; None: no limit.
    walltime_s: float | None = None
    #: What one node costs in an hour; 0: nothing.
    su_per_node_hour: float = 0.0
    #: How long every node is charged at least, once the block has started.
    least_charged_s: float = 0.0
    #: When its scheduler last mentioned it; None: never, or it is not asked by a list.
    seen_at: float | None = None
    #: Since when all answers of a healthy scheduler have lacked it; None: the last one had it, or there was none.
    missing_since: float | None = None
    #: When its nodes were told to claim nothing more; None: they were not.
    drained_at: float | None = None
    #: The Parsl config whose provider started it; empty: a provider of ours did.
    parsl_config: str = ""

    def __post_init__(self) -> None:
        if not _BLOCK_ID.fullmatch(self.block_id):
            raise ValueError(f"block_id={self.block_id!r}: use up to 63 letters, digits, - and _, and begin with a letter or digit")

    @property
    def su_max(self) -> float | None:
        """What it can cost at most; None: nobody can say, for it has no walltime."""
        if not self.su_per_node_hour:
            return 0.0
        return None if self.walltime_s is None else self._su_of(self.walltime_s)

    def su(self, now: float) -> float:
        """What it has cost so far, or in all; nothing before its start."""
        if self.started_at is None:
            return 0.0
        until = self.ended_at if self.ended_at is not None else min(now, self.ends_at or now)
        return self._su_of(until - self.started_at)

    def _su_of(self, elapsed_s: float) -> float:
        return self.nodes * max(elapsed_s, self.least_charged_s) / 3600 * self.su_per_node_hour

    def to_fields(self) -> dict[str, str]:
        """What the ledger keeps; an empty text is "not known"."""
        return {
            "site": self.site,
            "provider": self.provider,
            "state": self.state.value,
            "job_id": self.job_id,
            "campaigns": json.dumps(self.campaigns),
            "nodes": str(self.nodes),
            "slots": str(self.slots),
            "submitted_at": str(self.submitted_at),
            "ends_at": _seconds(self.ends_at),
            "ended_at": _seconds(self.ended_at),
            "cancelled_at": _seconds(self.cancelled_at),
            "reason": self.reason,
            "process": self.process.to_text() if self.process else "",
            "partition": self.partition,
            "started_at": _seconds(self.started_at),
            "walltime_s": _seconds(self.walltime_s),
            "su_per_node_hour": str(self.su_per_node_hour),
            "least_charged_s": str(self.least_charged_s),
            "seen_at": _seconds(self.seen_at),
            "missing_since": _seconds(self.missing_since),
            "drained_at": _seconds(self.drained_at),
            "parsl_config": self.parsl_config,
        }

    @classmethod
    def from_fields(cls, block_id: str, fields: Mapping[str, str]) -> Self:
        """The block that another process recorded; fields that are not a block's are passed over."""
        return cls(
            block_id=block_id,
            site=fields.get("site", ""),
            provider=fields.get("provider", ""),
            state=BlockState.parse(fields.get("state", "")),
            job_id=fields.get("job_id", ""),
            campaigns=tuple(json.loads(fields.get("campaigns") or "[]")),
            nodes=int(fields.get("nodes") or 1),
            slots=int(fields.get("slots") or 1),
            submitted_at=float(fields.get("submitted_at") or 0.0),
            ends_at=_time(fields.get("ends_at")),
            ended_at=_time(fields.get("ended_at")),
            cancelled_at=_time(fields.get("cancelled_at")),
            reason=fields.get("reason", ""),
            process=Process.from_text(fields.get("process", "")),
            partition=fields.get("partition", ""),
            started_at=_time(fields.get("started_at")),
            walltime_s=_time(fields.get("walltime_s")),
            su_per_node_hour=float(fields.get("su_per_node_hour") or 0.0),
            least_charged_s=float(fields.get("least_charged_s") or 0.0),
            seen_at=_time(fields.get("seen_at")),
            missing_since=_time(fields.get("missing_since")),
            drained_at=_time(fields.get("drained_at")),
            parsl_config=fields.get("parsl_config", ""),
        )


def may_move(old: BlockState, new: BlockState) -> bool:
    """Whether `new` may be recorded where `old` stands."""
    return new is old or new in MOVES[old]


def _seconds(value: float | None) -> str:
    return "" if value is None else str(value)


def _time(text: str | None) -> float | None:
    return float(text) if text else None
