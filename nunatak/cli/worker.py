"""`nunatak worker`: what a block runs on each of its nodes."""

import os
import time
from collections.abc import Mapping
from dataclasses import replace

import click

from broker.private import private_dir
from nunatak import unpacked
from nunatak.block_file import VARIABLE, read_block_file
from nunatak.node import Place, guard_argv, guard_settings, node_settings, span
from nunatak.settings import Settings, home, load_settings

#: Said by the block's script on the command's own line; nobody else is to see them.
_OF_THE_BLOCK = (VARIABLE, "NUNATAK_BLOCK_ENDS", "NUNATAK_BLOCK_STARTED")


def _unix(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """Seconds since 1970; an empty text is "not known", because a script may not have found out."""
    try:
        return float(text) if text and text.strip() else None
    except ValueError:
        raise click.BadParameter(f"{text!r}: give seconds since 1970, as `date +%s` prints them", context, parameter) from None


@click.command("worker", epilog="Example: nunatak worker --block b20261122-191500-3f9a01")
@click.option("--block", "block_id", metavar="ID", required=True, help="The block that this node belongs to.")
@click.option("--site", metavar="NAME", help="The site's name, if it is not the one that the block was submitted with.")
@click.option("--node", metavar="NAME", help="The node's name, if it is not this host's.")
@click.option("--ends-at", callback=_unix, metavar="UNIX", envvar="NUNATAK_BLOCK_ENDS", show_envvar=True,
              help="When the scheduler ends the block, in seconds since 1970.")  # fmt: skip
@click.option("--started-at", callback=_unix, metavar="UNIX", envvar="NUNATAK_BLOCK_STARTED", show_envvar=True,
              help="When the block was started, in seconds since 1970.")  # fmt: skip
@click.pass_context
def command(
    context: click.Context, block_id: str, site: str | None, node: str | None, ends_at: float | None, started_at: float | None
) -> None:
    """Run jobfiles on this node until the block ends or nothing is left to do.

    A block's script calls it; people use `nunatak run DIR`. The guard takes the place of this process: what signals the one signals
    the other.
    """
    place_of_home = home()
    block = read_block_file(place_of_home, block_id, os.environ)
    block = replace(block, site=site or block.site)
    settings = node_settings(place_of_home, block, _own_settings(context, needed=block.worker is None))
    place = Place.here(settings.worker.log_dir, node)
    private_dir(place.log_dir)
    unpacked.remove_left_behind(unpacked.places())
    if place.folder is not None:
        unpacked.own(place.folder)
    times = span(block, started_at=started_at, ends_at=ends_at, now=time.time())
    argv = guard_argv(guard_settings(settings, block, place, times), place)
    os.execve(argv[0], argv, _without_the_blocks(os.environ))


def _own_settings(context: click.Context, *, needed: bool) -> Settings | None:
    """This host's; from an archive, only read if the block was submitted without."""
    return context.find_object(Settings) or (load_settings() if needed else None)


def _without_the_blocks(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in _OF_THE_BLOCK}
