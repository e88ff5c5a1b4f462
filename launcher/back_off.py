"""How long a site is left in peace after blocks that came to nothing, and when a person must look: read off the blocks' own records.

There are no counters: two launchers that see the same end count it once, and one that is killed has forgotten nothing.
"""

import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from launcher.block import Block, BlockState
from launcher.slurm_state import NEVER_SUBMITTED

#: After the first, second, third and each further failure in a row.
WAITS_S = (60.0, 900.0, 1800.0, 3600.0)
#: A block that ends sooner after its start, badly or without a word from any of its nodes, has died young.
YOUNG_S = 600.0
#: So many in a row, and nothing more is submitted until a person says go.
DEATHS, REFUSALS = 3, 10


class Fate(enum.Enum):
    """What became of a submission."""

    #: The scheduler did not take it.
    REFUSED = "refused"
    #: It ended soon after its start, badly or without a word from any of its nodes.
    DIED_YOUNG = "died young"
    #: Its nodes have reported, or it lasted.
    WELL = "well"
    #: It was taken, and nothing is known yet, or somebody ended it.
    TAKEN = "taken"
    #: Nothing is known yet, or its launcher was killed before it could submit it.
    OPEN = "open"


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """The latest submissions of a site, as far as they came to nothing."""

    #: Blocks in a row that died young.
    deaths: int = 0
    #: Submissions in a row that were refused.
    refusals: int = 0
    #: The last of them; None: there is none.
    last: Block | None = None

    @property
    def not_before(self) -> float:
        """Unix seconds when the next submission may be tried; 0: at once."""
        return 0.0 if self.last is None or self.last.ended_at is None else self.last.ended_at + wait_s(self.deaths + self.refusals)

    @property
    def pause(self) -> str:
        """Why a person must look first; empty: nobody must."""
        if self.last is None or (self.deaths < DEATHS and self.refusals < REFUSALS):
            return ""
        what = f"{self.deaths} blocks in a row died young" if self.deaths >= DEATHS else f"{self.refusals} submissions in a row failed"
        return f"{what}, the last one {self.last.block_id}: {self.last.reason or 'no reason is known'}"


def wait_s(failures: int) -> float:
    """How long nothing is submitted after so many failures in a row."""
    return WAITS_S[min(failures, len(WAITS_S)) - 1] if failures > 0 else 0.0


def fate(block: Block, heard: bool, now: float) -> Fate:
    """What became of it; `heard`: one of its nodes has reported at some time."""
    was_taken = bool(block.job_id) or block.started_at is not None
    if not was_taken:
        failed = block.state is BlockState.FAILED and block.reason != NEVER_SUBMITTED
        return Fate.REFUSED if failed else Fate.OPEN
    if block.cancelled_at is not None or block.state is BlockState.CANCELLED:
        return Fate.TAKEN
    if block.state.is_over:
        came_to_something = heard and block.state is BlockState.ENDED
        return Fate.WELL if came_to_something or _lasted(block, block.ended_at or now) else Fate.DIED_YOUNG
    return Fate.WELL if heard or _lasted(block, now) else Fate.TAKEN


def _lasted(block: Block, until: float) -> bool:
    return block.started_at is not None and until - block.started_at >= YOUNG_S


def trouble(blocks: Sequence[Block], heard: Collection[str], *, since: float, now: float) -> Trouble:
    """What the blocks of one site tell; what ended before `since` is forgiven."""
    latest_first = sorted(blocks, key=lambda b: (b.submitted_at, b.block_id), reverse=True)
    fates = [(block, fate(block, block.block_id in heard, now)) for block in latest_first]
    dead = [b for b in _in_a_row(fates, Fate.DIED_YOUNG, (Fate.WELL,)) if (b.ended_at or 0.0) > since]
    refused = [b for b in _in_a_row(fates, Fate.REFUSED, (Fate.WELL, Fate.TAKEN, Fate.DIED_YOUNG)) if (b.ended_at or 0.0) > since]
    last = max([*dead, *refused], key=lambda b: b.ended_at or 0.0, default=None)
    return Trouble(deaths=len(dead), refusals=len(refused), last=last)


def _in_a_row(fates: Sequence[tuple[Block, Fate]], bad: Fate, ending: Collection[Fate]) -> list[Block]:
    """The latest of this fate, back to the first one of a fate that ends the row; others in between do not count."""
    row = []
    for block, its in fates:
        if its in ending:
            break
        if its is bad:
            row.append(block)
    return row
