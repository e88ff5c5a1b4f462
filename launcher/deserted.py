"""Blocks that Slurm says run, and that nobody is in any more: their batch host is dead, and their other nodes have left.

Seen with Slurm 22.05: a job whose batch host dies stays RUNNING under --no-kill until its walltime, also when no process of it is left.
"""

from launcher.block import Block, BlockState

#: Nodes that were cut off come back within this time, or their jobfiles have long been given to others.
DESERTED_S = 1800.0


def is_deserted(block: Block, *, listed: int, quiet_since: float | None, steady_since: float, now: float) -> bool:
    """Whether the block is to be cancelled.

    `listed` counts its nodes that have not said goodbye: a block of which none has is rather cut off as a whole. `quiet_since`: since
    when none is in contact (None: one is); `steady_since`: since when the broker has been there to hear them.
    """
    if block.state is not BlockState.RUNNING or quiet_since is None or listed >= block.nodes:
        return False
    return now - max(quiet_since, steady_since) >= DESERTED_S
