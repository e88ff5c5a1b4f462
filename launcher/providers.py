"""Which provider a site's blocks go through: the small table that everything above it is blind to."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from launcher.answer import Heard
from launcher.block import Block
from launcher.errors import LauncherError
from launcher.local_block import LocalBlocks
from launcher.order import Order
from launcher.parsl_block import ParslBlocks
from launcher.site import PROVIDERS, Site
from launcher.slurm_block import SlurmBlocks


class Blocks(Protocol):
    """What a provider's side must be able to do."""

    def intend(self, site: Site, block: Block) -> Block:
        """What can be said of the block before it is submitted."""

    def submit(self, site: Site, block: Block, folder: Path, order: Order) -> Block:
        """Submit it through Parsl; the block with its job id. Raises SubmitFailed."""

    def look_all(self, blocks: Sequence[tuple[Block, Path]], now: float, timeout_s: float) -> Heard:
        """What is known now of these blocks, none of them over, each with its folder; UNKNOWN where nobody can say."""

    def cancel(self, block: Block, folder: Path, timeout_s: float) -> None:
        """Ask it to end, through Parsl. Raises CancelFailed."""


_TABLE: Mapping[str, Callable[[], Blocks]] = {"local": LocalBlocks, "slurm": SlurmBlocks, "parsl": ParslBlocks}
assert set(_TABLE) == set(PROVIDERS)


def provider_of(name: str) -> Blocks:
    """The provider's side of this name."""
    if name not in _TABLE:
        raise LauncherError(f"no provider is called {name!r}; known are: {', '.join(_TABLE)}. Was the block recorded by a newer nunatak?")
    return _TABLE[name]()
