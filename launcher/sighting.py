"""What was seen of a block at one look, and what the block is afterwards."""

from dataclasses import dataclass, replace

from launcher.block import Block, BlockState, may_move


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A state and why, and what else was said of the block; None and empty: nothing was."""

    #: What the block is in.
    state: BlockState
    #: Why, for a person; empty if the state says it all.
    reason: str = ""
    #: The scheduler's name for it.
    job_id: str = ""
    #: When it began.
    started_at: float | None = None
    #: When it ends at the latest.
    ends_at: float | None = None
    #: When it ended.
    ended_at: float | None = None
    #: Whether a healthy answer mentioned it; None: there was no such answer.
    mentioned: bool | None = None


def after(block: Block, seen: Sighting, now: float) -> Block:
    """The block as it is after this look; the same object if nothing has changed, so that the caller records only what is new."""
    state, reason = (seen.state, seen.reason) if may_move(block.state, seen.state) else (block.state, block.reason)
    return _if_new(
        block,
        replace(
            block,
            state=state,
            reason=reason,
            job_id=seen.job_id or block.job_id,
            started_at=_first(seen.started_at, block.started_at),
            ends_at=_first(seen.ends_at, block.ends_at),
            ended_at=_first(block.ended_at, seen.ended_at, now) if state.is_over else None,
            seen_at=now if seen.mentioned else block.seen_at,
            missing_since=_missing_since(block, seen, now),
        ),
    )


def _missing_since(block: Block, seen: Sighting, now: float) -> float | None:
    """Silence begins the count anew: only what a healthy scheduler has lacked all the time is missing."""
    if seen.mentioned is not False:
        return None
    return block.missing_since if block.missing_since is not None else now


def _first(*times: float | None) -> float | None:
    return next((time for time in times if time is not None), None)


def _if_new(old: Block, new: Block) -> Block:
    return old if new == old else new
