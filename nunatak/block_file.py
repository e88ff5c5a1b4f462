"""`blocks/ID.json`: what a block's nodes are told, written before its submission. No node needs the broker to begin."""

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from broker.home import Home
from broker.private import write_private
from nunatak.errors import WrongUse
from tasks.settings import from_json

if TYPE_CHECKING:
    # Nodes read block files and do without the launcher.
    from launcher.site import Site
    from nunatak.settings import Settings

#: The file's text, for nodes that are handed it with their block's script: thousands need not all open one file at once.
VARIABLE = "NUNATAK_BLOCK_FILE"


@dataclass(frozen=True, kw_only=True)
class BlockFile:
    """The parameters of one block; all its nodes have the same."""

    block: str
    site: str
    #: Jobfiles at a time on each node.
    slots: int
    #: Numbers of the campaigns that it works for; empty: all.
    campaigns: tuple[str, ...] = ()
    #: Unix seconds when the block ends; None: it does not, or the scheduler says when it has started.
    deadline_unix: float | None = None
    #: How long it may last, for nodes that the scheduler does not tell its end; None: no limit.
    walltime_s: float | None = None
    #: Its jobfiles are ended so long before the scheduler ends the block.
    warn_s: float = 0.0
    #: So long is paid for in any case.
    least_charged_s: float = 0.0
    #: A node that has run nothing for this long leaves; None: as the settings say.
    idle_s: float | None = None
    #: A node that has fewer processors than this is refused; None: not known.
    cores_per_node: int | None = None
    #: The virtual environment of whoever submitted it, which jobfiles must not see; None: there is none.
    venv: str | None = None
    #: The section [worker] of the settings as they were at its submission; None: each node reads them itself.
    worker: Mapping[str, Any] | None = None


def block_file_of(site: "Site", block_id: str, settings: "Settings", *, campaigns: Sequence[str] = ()) -> BlockFile:
    """What the nodes of a new block of this site are to be told; `campaigns` are numbers."""
    is_local = site.provider == "local"
    return BlockFile(
        block=block_id,
        site=site.name,
        slots=site.max_workers or site.cores_per_node or _processors(site),
        campaigns=tuple(campaigns),
        # A local block starts at once; when any other one ends is known when it has started.
        deadline_unix=time.time() + site.walltime_s if is_local and site.walltime_s is not None else None,
        walltime_s=site.walltime_s,
        warn_s=0.0 if is_local else site.warn_s,
        least_charged_s=site.least_charged_s,
        idle_s=site.idle_s,
        cores_per_node=site.cores_per_node,
        venv=venv_here(),
        worker=asdict(settings.worker),
    )


def _processors(site: "Site") -> int:
    if site.provider != "local":
        raise WrongUse(f"site {site.name} does not say how many jobfiles run at once on a node: add max_workers to {site.source or 'it'}")
    return len(os.sched_getaffinity(0))


def venv_here() -> str | None:
    """The virtual environment that this process runs from."""
    return sys.prefix if sys.prefix != sys.base_prefix else None


def write_block_file(home: Home, block: BlockFile) -> None:
    """Keep the parameters; they are safe when this returns."""
    write_private(_path(home, block.block), json.dumps(asdict(block)) + "\n")


def remove_block_file(home: Home, block_id: str) -> None:
    """Of a block that was not submitted after all."""
    _path(home, block_id).unlink(missing_ok=True)


def read_block_file(home: Home, block_id: str, environ: Mapping[str, str] | None = None) -> BlockFile:
    """The parameters of this block, from `$NUNATAK_BLOCK_FILE` if it holds them; raises WrongUse."""
    given = (environ or {}).get(VARIABLE, "")
    path = _path(home, block_id)
    try:
        block = from_json(BlockFile, given or path.read_bytes())
    except FileNotFoundError:
        remedy = "blocks are started with `nunatak run DIR`; is $NUNATAK_HOME the one that the block was submitted from?"
        raise WrongUse(f"there is no block {block_id}: {path} is not there; {remedy}") from None
    except (OSError, ValueError, TypeError) as error:
        raise WrongUse(f"{f'${VARIABLE}' if given else path} cannot be understood ({error}); submit another block") from error
    if block.block != block_id:
        raise WrongUse(f"{f'${VARIABLE}' if given else path} is of block {block.block}, and this is {block_id}: give each block its own")
    return block


def _path(home: Home, block_id: str) -> Path:
    return home.blocks_dir / f"{block_id}.json"
