"""A `nunatak run` from the enqueued campaign to its end: one local block, watched until nothing is left to do."""

import enum
import logging
import time
from collections.abc import Callable

from broker.errors import Unreachable
from broker.records import Campaign, State
from launcher.block import Block
from nunatak.blocks.words import end_text
from nunatak.campaign_view import CampaignView
from nunatak.interrupts import Interrupts
from nunatak.own_block import OwnBlock
from nunatak.progress import Progress, Snapshot
from nunatak.session import Broker, Session

log = logging.getLogger(__name__)

#: How often the broker and the block are looked at.
LOOK_EVERY_S = 0.5
#: A block that dies is replaced this often, if no jobfile ended meanwhile.
REPLACED = 2
#: A block whose worker has not been heard of for this long since its start is talked about; one needs about a second.
SILENT_S = 20.0


class Next(enum.Enum):
    """What a run does next."""

    #: Nothing is left to do.
    FINISHED = "finished"
    #: The campaign is paused and nothing of it runs any more.
    PAUSED = "paused"
    #: Its user wants to go.
    INTERRUPTED = "interrupted"
    #: A block is needed.
    SUBMIT = "submit"
    #: Blocks die one after another.
    GIVE_UP = "give up"
    #: Wait and look again.
    GO_ON = "go on"


def decide(campaign: Campaign, block: Block | None, deaths: int, interrupted: bool) -> Next:
    """The next step; `deaths` counts blocks that ended without a jobfile's end since their start."""
    if campaign.has_ended:
        return Next.FINISHED
    if interrupted:
        return Next.INTERRUPTED
    if campaign.paused and not campaign.counts[State.RUNNING]:
        return Next.PAUSED
    if block is not None and not block.state.is_over:
        return Next.GO_ON
    if campaign.paused or not campaign.counts[State.QUEUED]:
        # What runs belongs to somebody else, or waits for its leases to run out.
        return Next.GO_ON
    return Next.SUBMIT if deaths <= REPLACED else Next.GIVE_UP


class Running:
    """The loop; `run_once` is one turn of it."""

    def __init__(
        self,
        session: Session,
        name: str,
        own: OwnBlock,
        progress: Progress,
        interrupts: Interrupts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._own = own
        self._progress = progress
        self._view = CampaignView(session, name, progress)
        self._interrupts = interrupts
        self._clock = clock
        #: When the present block was started; None: its worker has been heard of, or its silence talked about.
        self._silent_since: float | None = None
        self._deaths = 0
        #: How many had ended when the present block was started.
        self._ended_before = 0

    @property
    def campaign(self) -> Campaign | None:
        """As it was last seen."""
        return self._view.campaign

    def follow(self) -> Next:
        """Go on until there is an end to report: FINISHED, PAUSED, INTERRUPTED or GIVE_UP."""
        self._adopt()
        while True:
            step = self.run_once()
            if step is Next.SUBMIT:
                self._submit()
            elif step is not Next.GO_ON:
                return step
            self._interrupts.sleep(LOOK_EVERY_S)

    def run_once(self) -> Next:
        """Look at the campaign and the block, show them, and decide."""
        try:
            snapshot = self._session.ask(self._look)
            block = self._look_at_block(snapshot)
        except Unreachable as error:
            self._view.note_away(error)
            return Next.INTERRUPTED if self._interrupts.asked else Next.GO_ON
        self._view.show(snapshot)
        self._view.note_pause()
        self._note_silence()
        return decide(snapshot.campaign, block, self._deaths, self._interrupts.asked)

    def show_last(self) -> None:
        """Show how far it is once more, after its block has ended."""
        try:
            self._view.show(self._session.ask(self._look))
        except Unreachable as error:
            log.info("run.last_state_unknown reason=%r", str(error))

    def _look(self, broker: Broker) -> Snapshot:
        campaign = self._view.read(broker)
        if self._silent_since is not None and self._own.block is not None:
            heard = {worker.block for worker in broker.ledger.workers()}
            self._silent_since = None if self._own.block.block_id in heard else self._silent_since
        return self._view.snapshot(broker, campaign, [self._own.block.slots if self._own.block else 0])

    def _look_at_block(self, snapshot: Snapshot) -> Block | None:
        before = self._own.block
        block = self._own.look()
        if block is None or before is None or before.state.is_over or not block.state.is_over:
            return block
        self._deaths = 1 if snapshot.ended > self._ended_before else self._deaths + 1
        if not snapshot.campaign.has_ended and not self._interrupts.asked:
            self._progress.note(end_text(block, self._own.said()))
        return block

    def _submit(self) -> None:
        assert self.campaign is not None
        counts = self.campaign.counts
        self._ended_before = self.campaign.total - counts[State.QUEUED] - counts[State.RUNNING]
        self._own.submit()
        self._silent_since = self._clock()

    def _adopt(self) -> None:
        """What an earlier run has left is this one's to watch, and to end."""
        if self._own.adopt():
            assert self._own.block is not None
            block = self._own.block
            self._progress.note(f"going on with block {block.block_id}, which is at work already; its slots: {block.slots}")

    def _note_silence(self) -> None:
        """A worker that cannot start is started again and again by its guard, which nobody would see from here."""
        if self._silent_since is not None and self._clock() - self._silent_since > SILENT_S:
            self._silent_since = None
            self._progress.note(f"no worker has come up for {SILENT_S:g} s; its guard goes on trying, see {self._own.log_file}")
