"""Which provider a site's blocks go through: the small table that everything above it is blind to."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from launcher.block import Block
from launcher.errors import LauncherError
from launcher.local_block import LocalBlocks
from launcher.local_state import Sighting
from launcher.site import PROVIDERS, Site


class Blocks(Protocol):
    """What a provider's side must be able to do."""

    def intend(self, site: Site, block: Block) -> Block:
        """What can be said of the block before it is submitted."""

    def submit(self, site: Site, block: Block, folder: Path, command: Sequence[str]) -> Block:
        """Submit it through Parsl; the block with its job id. Raises SubmitFailed."""

    def look(self, block: Block, folder: Path, now: float) -> Sighting:
        """What is known of it now; UNKNOWN where nobody can say."""

    def cancel(self, site_name: str, block: Block, folder: Path) -> None:
        """Ask it to end, through Parsl."""


_TABLE: Mapping[str, Callable[[], Blocks]] = {"local": LocalBlocks}
assert set(_TABLE) == set(PROVIDERS)


def provider_of(name: str) -> Blocks:
    """The provider's side of this name."""
    if name not in _TABLE:
        raise LauncherError(f"no provider is called {name!r}; known are: {', '.join(_TABLE)}. Was the block recorded by a newer nunatak?")
    return _TABLE[name]()
