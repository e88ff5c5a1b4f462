"""The one local block of a `nunatak run`: adopted if an earlier run has left one, else submitted; watched, and ended."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from broker.errors import Unreachable
from broker.home import Home
from broker.records import BlockSeen
from launcher import blocks
from launcher.block import Block, BlockState
from launcher.process import here
from launcher.site import Site
from nunatak.block_file import block_file_of, write_block_file
from nunatak.node import Place
from nunatak.session import Session

log = logging.getLogger(__name__)

#: A guard gives its jobfiles some seconds to end, and its worker 20 s to hand them back.
_END_S = 60.0
_LOOK_EVERY_S = 0.1
#: A block in one of these states does the work.
_AT_WORK = (BlockState.INTENDED, BlockState.WAITING, BlockState.RUNNING)


class OwnBlock:
    """A block of this machine, bound to one campaign."""

    def __init__(self, session: Session, site: Site, campaign: str, number: str) -> None:
        self._session = session
        self._site = site
        self._campaign = campaign
        self._number = number
        #: As it was last seen; None: there is none yet.
        self.block: Block | None = None

    @property
    def home(self) -> Home:
        return self._session.settings.home

    def adopt(self) -> bool:
        """Take over the block that an earlier run of this campaign has left at work on this machine, if there is one."""
        seen = self._session.insist(lambda broker: broker.ledger.blocks())
        found = (self._looked(block) for block in candidates(seen, self._site.name, self._campaign, here().host))
        self.block = next((block for block in found if block.state in _AT_WORK), None)
        return self.block is not None

    def submit(self) -> None:
        """Start one. Raises SubmitFailed, NoProgram, Unreachable."""
        block_id = blocks.new_block_id()
        site = self._site
        write_block_file(self.home, block_file_of(site, block_id, self._session.settings, campaigns=(self._number,)))
        self.block = self._session.ask(
            lambda broker: blocks.submit(site, self.home, block_id, ledger=broker.ledger, campaigns=(self._campaign,))
        )

    def look(self) -> Block | None:
        """The block as it is now, recorded if that is new."""
        if self.block is not None:
            self.block = self._looked(self.block)
        return self.block

    def ask_to_end(self) -> None:
        """Tell it to end its jobfiles and hand them back."""
        if self.block is not None and not self.block.state.is_over:
            self.block = blocks.cancel(self.block, self.home, ledger=self)

    def wait_for_end(self, timeout_s: float = _END_S) -> bool:
        """Wait until it has ended; False if that takes too long."""
        deadline = time.monotonic() + timeout_s
        while not self._look_is_over():
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_EVERY_S)
        return True

    def said(self) -> str:
        """The last of its output."""
        return blocks.said(self.block, self.home) if self.block else ""

    @property
    def log_file(self) -> Path | None:
        """Where its guard and worker write."""
        return Place.here(self._session.settings.worker.log_dir).log_file(self.block.block_id) if self.block else None

    def _look_is_over(self) -> bool:
        block = self.look()
        return block is None or block.state.is_over

    def _looked(self, block: Block) -> Block:
        now = blocks.look(block, self.home)
        if now is not block:
            self.record_block(now.block_id, now.to_fields())
        return now

    def record_block(self, block_id: str, fields: dict[str, str]) -> None:
        """What became of the block; it is ended also if the broker cannot be told, which then hears it from whoever looks next."""
        try:
            self._session.ask(lambda broker: broker.ledger.record_block(block_id, fields))
        except Unreachable as error:
            log.warning("block.not_recorded block=%s reason=%r", block_id, str(error))


def candidates(seen: Sequence[BlockSeen], site: str, campaign: str, host: str) -> list[Block]:
    """Recorded blocks that may be at work for this campaign alone on this machine, the youngest first."""
    found = [Block.from_fields(b.block, b.fields) for b in seen]
    fitting = [
        b for b in found
        if b.site == site and b.campaigns == (campaign,) and b.state in _AT_WORK and b.process is not None and b.process.host == host
    ]  # fmt: skip
    return sorted(fitting, key=lambda b: -b.submitted_at)


def with_slots(site: Site, slots: int | None, processors: int) -> Site:
    """The site with a number of slots: what was asked for, else the site's, else one per processor."""
    return replace(site, max_workers=slots or site.max_workers or processors)
