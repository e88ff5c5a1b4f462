"""What a block's nodes are to run."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Order:
    """One command for each node, however many jobfiles it runs at once."""

    #: The command, by absolute path.
    command: tuple[str, ...]
    #: An archive from which each node starts our worker in the command's place; None: there is none.
    archive: Path | None = None
    #: Where the user's broker keeps its files.
    home: Path
