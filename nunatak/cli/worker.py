"""`nunatak worker`: what a block runs on each of its nodes."""

import os
from dataclasses import replace

import click

from broker.private import private_dir
from nunatak.block_file import read_block_file
from nunatak.node import Place, guard_argv, guard_settings
from nunatak.reach import settings_of


@click.command("worker", epilog="Example: nunatak worker --block b20261122-191500-3f9a01")
@click.option("--block", "block_id", metavar="ID", required=True, help="The block that this node belongs to.")
@click.option("--site", metavar="NAME", help="The site's name, if it is not the one that the block was submitted with.")
@click.pass_context
def command(context: click.Context, block_id: str, site: str | None) -> None:
    """Run jobfiles on this node until the block ends or nothing is left to do.

    A block's script calls it; people use `nunatak run DIR`. The guard takes the place of this process: what signals the one signals
    the other.
    """
    settings = settings_of(context)
    block = read_block_file(settings.home, block_id)
    place = Place.here(settings.worker.log_dir)
    private_dir(place.log_dir)
    argv = guard_argv(guard_settings(settings, replace(block, site=site or block.site), place), place)
    os.execv(argv[0], argv)
