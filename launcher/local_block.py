"""Starts, finds and ends blocks on this machine."""

import logging
import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from launcher import process
from launcher.answer import Heard
from launcher.block import Block, BlockState
from launcher.errors import CancelFailed, SubmitFailed
from launcher.local_state import gather, judge, script_process
from launcher.order import Order
from launcher.site import Site

log = logging.getLogger(__name__)


class LocalBlocks:
    """The local provider's side of launcher/blocks.py."""

    def intend(self, site: Site, block: Block) -> Block:
        """Complete the intent: where it will run, with how many slots, until when."""
        ends_at = None if site.walltime_s is None else block.submitted_at + site.walltime_s
        slots = site.max_workers or len(os.sched_getaffinity(0))
        return replace(block, slots=slots, ends_at=ends_at, process=process.here())

    def submit(self, site: Site, block: Block, folder: Path, order: Order) -> Block:
        """Start the block's script in the background. Raises SubmitFailed."""
        # Parsl takes 0.34 s to import, and most commands do not start a block.
        from parsl.errors import ParslError

        from launcher.local_provider import LocalBlockProvider

        provider = LocalBlockProvider(site, block.block_id, folder)
        try:
            job_id = provider.submit(shlex.join(order.command), 1, block.block_id)
        except (ParslError, OSError, subprocess.SubprocessError) as error:
            what = f"block {block.block_id} could not be started: {error}"
            raise SubmitFailed(f"{what}. Its script is kept in {folder}: try it by hand") from error
        found = process.find(process.here(), int(job_id)) or block.process
        return replace(block, state=BlockState.RUNNING, job_id=job_id, started_at=block.submitted_at, process=found)

    def look_all(self, blocks: Sequence[tuple[Block, Path]], now: float, timeout_s: float) -> Heard:  # noqa: ARG002  # asks nobody
        """What can be said of them from this host."""
        return Heard(sightings={block.block_id: judge(gather(block, folder, now)) for block, folder in blocks})

    def cancel(self, block: Block, folder: Path, timeout_s: float) -> None:  # noqa: ARG002  # asks nobody
        """SIGTERM to the block's process, if it still is this block's."""
        from launcher.local_provider import LocalBlockProvider

        place = process.here()
        if block.process is None or block.process.host != place.host:
            host = block.process.host if block.process else "an unknown host"
            raise CancelFailed(f"block {block.block_id} runs on {host}, and this is {place.host}: cancel it there")
        alive = _living(block.process, folder, place)
        if alive is None:
            log.info("block.cancel_found_nothing block=%s", block.block_id)
            return
        provider = LocalBlockProvider(Site(name=block.site), block.block_id, folder)
        provider.adopt(str(alive.pid))
        provider.cancel([str(alive.pid)])


def _living(recorded: process.Process, folder: Path, place: process.Process) -> process.Process | None:
    """A process of the block that lives on this host, in whose group the others are."""
    if recorded.boot != place.boot:
        return None
    return next((p for p in (script_process(folder, place), recorded) if p and p.pid and process.is_alive(p)), None)
