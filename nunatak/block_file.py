"""`blocks/ID.json`: what a block's nodes are told, written before its submission. No node needs the broker to begin."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from broker.home import Home
from broker.private import write_private
from nunatak.errors import WrongUse


@dataclass(frozen=True, kw_only=True)
class BlockFile:
    """The parameters of one block; all its nodes have the same."""

    block: str
    site: str
    #: Jobfiles at a time on each node.
    slots: int
    #: Numbers of the campaigns that it works for; empty: all.
    campaigns: tuple[str, ...] = ()
    #: Unix seconds when the block ends; None: it does not.
    deadline_unix: float | None = None


def write_block_file(home: Home, block: BlockFile) -> None:
    """Keep the parameters; they are safe when this returns."""
    write_private(_path(home, block.block), json.dumps(asdict(block)) + "\n")


def read_block_file(home: Home, block_id: str) -> BlockFile:
    """The parameters of this block; raises WrongUse."""
    path = _path(home, block_id)
    try:
        fields = json.loads(path.read_bytes())
        return BlockFile(**{**fields, "campaigns": tuple(fields["campaigns"])})
    except FileNotFoundError:
        remedy = "blocks are started with `nunatak run DIR`; is $NUNATAK_HOME the one that the block was submitted from?"
        raise WrongUse(f"there is no block {block_id}: {path} is not there; {remedy}") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WrongUse(f"{path} cannot be understood ({error}); submit another block") from error


def _path(home: Home, block_id: str) -> Path:
    return home.blocks_dir / f"{block_id}.json"
