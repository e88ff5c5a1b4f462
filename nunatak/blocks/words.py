"""What is said of blocks, wherever they are spoken of."""

from launcher.block import Block, BlockState


def end_text(block: Block, said: str) -> str:
    """What is said of a block that ended while there was work."""
    how = {BlockState.ENDED: "has ended", BlockState.CANCELLED: "was ended by somebody else"}.get(block.state, "died")
    reason = f": {block.reason}" if block.reason else ""
    return f"block {block.block_id} {how}{reason}" + (f"; the last it said:\n{said}" if said else "; it said nothing")


def several(count: int, noun: str) -> str:
    """`1 block`, `1,200 blocks`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
