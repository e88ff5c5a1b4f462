"""Lets blocks leave: they take nothing more and end when what they run has ended."""

from collections.abc import Sequence

from launcher import blocks as launcher
from launcher.block import Block, BlockState
from launcher.errors import CancelFailed
from nunatak.session import Broker
from nunatak.settings import Settings

#: The ledger's answer -> what is said.
_WORDS = {
    "draining": "takes nothing more, and ends when what it runs has ended",
    "already": "was told before to take nothing more",
    "over": "has ended",
    "unknown": "is not known",
}
#: Nothing runs there yet, and a block that starts only to leave costs its least charge.
_NOT_BEGUN = (BlockState.INTENDED, BlockState.WAITING)


def let_leave(broker: Broker, settings: Settings, theirs: Sequence[Block]) -> list[str]:
    """Drain these blocks; those that only wait are cancelled. Returns what was done, in words."""
    words = broker.ledger.drain_blocks([block.block_id for block in theirs])
    return [_left(broker, settings, block, word) for block, word in zip(theirs, words, strict=True)]


def _left(broker: Broker, settings: Settings, block: Block, word: str) -> str:
    if block.state not in _NOT_BEGUN or block.provider == "local" or word not in ("draining", "already"):
        return f"{block.block_id} {_WORDS.get(word, word)}"
    try:
        launcher.cancel(block, settings.home, ledger=broker.ledger)
    except CancelFailed as error:
        return str(error)
    return f"{block.block_id} only waited, and was cancelled"
