"""How many blocks the work that is left is worth: a pure function, so that the last blocks are full and not many and half empty."""

import math
from dataclasses import dataclass

from nunatak.simulate.shape import Shape

#: Part of a block's slot-hours that is counted upon: rather one block fewer, for one that is half empty costs more than a later end.
_FILL = 0.95


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be done and who is there to do it, in slot-seconds."""

    #: Jobfiles.
    waiting: int
    #: Expected work of what waits.
    waiting_s: float
    #: Expected rest of what runs.
    running_s: float
    #: Until the blocks' ends.
    left_s: float
    blocks: int


def blocks_wanted(work: Work, shape: Shape) -> int:
    """Those that are there, and as many more as what waits fills beyond their rest."""
    if not work.waiting:
        return work.blocks
    beyond = work.waiting_s + work.running_s - _FILL * work.left_s
    by_work = math.ceil(beyond / (_FILL * shape.slots * shape.walltime_s))
    by_count = math.ceil(work.waiting / shape.slots)
    return work.blocks + max(0 if work.blocks else 1, min(by_work, by_count))
