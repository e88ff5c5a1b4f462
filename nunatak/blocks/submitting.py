"""Submits one block: the file for its nodes, the archive that they start from, and then the launcher's own order of things."""

from collections.abc import Sequence
from pathlib import Path

from broker.records import Campaign
from launcher import blocks
from launcher.block import Block
from launcher.cap import Cap
from launcher.errors import SubmitRefused
from launcher.site import Site
from nunatak.archive import ensure_archive
from nunatak.block_file import block_file_of, remove_block_file, write_block_file
from nunatak.session import Broker
from nunatak.settings import Settings


def submit_block(broker: Broker, settings: Settings, site: Site, campaigns: Sequence[Campaign], cap: Cap) -> Block:
    """Submit a block that works for these campaigns, or for all. Raises SubmitRefused, SubmitFailed, CannotArchive, Unreachable."""
    archive = archive_for(site, settings)
    block_id = blocks.new_block_id()
    write_block_file(settings.home, block_file_of(site, block_id, settings, campaigns=[c.number for c in campaigns]))
    try:
        return blocks.submit(
            site, settings.home, block_id, ledger=broker.ledger, campaigns=[c.name for c in campaigns], archive=archive, cap=cap
        )
    except SubmitRefused:
        remove_block_file(settings.home, block_id)
        raise


def archive_for(site: Site, settings: Settings) -> Path | None:
    """What the nodes of this site's blocks start from; this machine's own blocks start from what is installed."""
    return None if site.provider == "local" else ensure_archive(settings.home)
