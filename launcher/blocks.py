"""Submits, watches and cancels blocks: every path from here to a scheduler goes through launcher/providers.py."""

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from broker.home import Home
from launcher.block import Block, BlockState, may_move
from launcher.command import worker_command
from launcher.errors import LauncherError, SubmitFailed
from launcher.local_files import output_tail
from launcher.providers import provider_of
from launcher.site import Site

log = logging.getLogger(__name__)


class Recorder(Protocol):
    """Whoever remembers blocks: `broker.ledger.Ledger`."""

    def record_block(self, block_id: str, fields: dict[str, str]) -> None:
        """Keep these fields; return only when they are safe."""


def new_block_id(now: float | None = None) -> str:
    """A name that no other block has: the day and time, and chance for two in one second."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    return f"b{stamp}-{secrets.token_hex(3)}"


def submit(
    site: Site,
    home: Home,
    block_id: str,
    *,
    ledger: Recorder,
    campaigns: Sequence[str] = (),
    command: Sequence[str] = (),
    clock: Callable[[], float] = time.time,
) -> Block:
    """Submit one block and return it as recorded.

    The intent is recorded before the submission and the job id after it, so that a launcher that dies in between leaves a trace by
    which the next one finds the block. `command` is what each node runs, our worker if empty. Raises SubmitFailed, and whatever
    `ledger` raises; what fails after a submission leaves the block INTENDED, never forgotten.
    """
    provider, command = provider_of(site.provider), command or worker_command(block_id)
    intent = provider.intend(site, _first_record(site, block_id, campaigns, clock()))
    folder = _make_folder(home, block_id)
    ledger.record_block(block_id, intent.to_fields())
    try:
        block = provider.submit(site, intent, folder, command)
    except SubmitFailed as error:
        # Some schedulers report an error and carry the submission out all the same: only a later look can tell.
        ledger.record_block(block_id, replace(intent, state=BlockState.UNKNOWN, reason=str(error)).to_fields())
        raise
    ledger.record_block(block_id, block.to_fields())
    log.info("block.submitted block=%s site=%s job_id=%s", block_id, site.name, block.job_id)
    return block


def look(block: Block, home: Home, *, clock: Callable[[], float] = time.time) -> Block:
    """The block as it is now; the same object if nothing has changed, so that the caller records only what is new."""
    if block.state.is_over:
        return block
    now = clock()
    seen = provider_of(block.provider).look(block, block_folder(home, block.block_id), now)
    if (seen.state, seen.reason) == (block.state, block.reason) or not may_move(block.state, seen.state):
        return block
    return replace(block, state=seen.state, reason=seen.reason, ended_at=now if seen.state.is_over else None)


def cancel(block: Block, home: Home, *, ledger: Recorder, clock: Callable[[], float] = time.time) -> Block:
    """Ask the block to end: its jobfiles are ended and handed back. That it was asked is recorded first. Look at it to see it end."""
    if block.state.is_over:
        return block
    leaving = replace(block, state=BlockState.LEAVING, cancelled_at=block.cancelled_at or clock())
    ledger.record_block(block.block_id, leaving.to_fields())
    provider_of(block.provider).cancel(block.site, leaving, block_folder(home, block.block_id))
    log.info("block.cancelled block=%s", block.block_id)
    return leaving


def said(block: Block, home: Home, lines: int = 20) -> str:
    """The last lines of the block's own output, to be shown after a bad end."""
    return output_tail(block_folder(home, block.block_id), lines)


def block_folder(home: Home, block_id: str) -> Path:
    """Where a block's script and output are."""
    return home.blocks_dir / block_id


def _first_record(site: Site, block_id: str, campaigns: Sequence[str], now: float) -> Block:
    return Block(
        block_id=block_id,
        site=site.name,
        provider=site.provider,
        campaigns=tuple(campaigns),
        nodes=site.nodes_per_block,
        submitted_at=now,
    )


def _make_folder(home: Home, block_id: str) -> Path:
    folder = block_folder(home, block_id)
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise LauncherError(f"a block {block_id} exists already, in {folder}. Use a new block id") from None
    return folder.resolve()
