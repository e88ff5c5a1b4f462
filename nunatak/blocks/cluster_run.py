"""`nunatak run -s DIR -f SITE`: blocks on a cluster for one campaign, as many as it needs, watched until all its jobfiles have ended."""

import enum
import time
from collections.abc import Sequence

from broker.errors import Unreachable
from broker.records import Campaign, State
from launcher.block import Block
from launcher.demand import blocks_needed
from launcher.site import Site
from launcher.slurm_files import read_ended
from launcher.targets import SiteState
from nunatak.blocks.backlog import read_lanes, waiting_of
from nunatak.blocks.purse import agree, check_bound
from nunatak.blocks.scale_loop import ScaleLoop
from nunatak.blocks.watch import look
from nunatak.blocks.wishes import most_blocks, target_text
from nunatak.campaign_view import CampaignView
from nunatak.errors import Gone, Interrupted
from nunatak.interrupts import Interrupts
from nunatak.overview import paused_text
from nunatak.progress import Progress, open_progress
from nunatak.results import Results, read_results
from nunatak.screen import say
from nunatak.session import Broker, Session
from nunatak.shown import heard_of

#: How often the broker is looked at; the scheduler is asked when the site's poll period is over.
_LOOK_EVERY_S = 1.0
#: Blocks that were told to leave get so long before the command ends without them.
_END_S = 60.0


class Next(enum.Enum):
    """What the run does next."""

    #: Nothing is left to do.
    FINISHED = "finished"
    #: The campaign is paused and nothing of it runs any more.
    PAUSED = "paused"
    #: Its user wants to go.
    DETACH = "detach"
    #: A person must look before more blocks are submitted, and none is left.
    HELD = "held"
    #: Somebody has ended this from elsewhere, and no block is left.
    TAKEN_BACK = "taken back"
    #: Wait and look again.
    GO_ON = "go on"


def decide(campaign: Campaign, *, site_paused: bool, is_wished: bool, live: int, interrupted: bool) -> Next:
    """The next step; `live` counts the blocks that work for the campaign, or will."""
    if campaign.has_ended:
        return Next.FINISHED
    if interrupted:
        return Next.DETACH
    if campaign.paused and not campaign.counts[State.RUNNING]:
        return Next.PAUSED
    if live or campaign.counts[State.RUNNING]:
        return Next.GO_ON
    if site_paused:
        return Next.HELD
    return Next.GO_ON if is_wished else Next.TAKEN_BACK


class ClusterRun:
    """Blocks for one campaign, and what is said of it."""

    def __init__(self, session: Session, site: Site, campaign: Campaign) -> None:
        self._session = session
        self._site = site
        self._name = campaign.name
        self._since = time.monotonic()

    def run(self, *, yes: bool, max_su: float | None) -> Results:
        """Until all have ended, or the campaign is paused. Raises Interrupted, Gone, WrongUse, Unreachable, BadSite."""
        progress = open_progress()
        loop = ScaleLoop(self._session, self._site, progress.note)
        self._wish(loop, yes=yes, max_su=max_su)
        view = CampaignView(self._session, self._name, progress)
        try:
            with Interrupts() as interrupts:
                end = self._follow(loop, view, interrupts)
                if end is Next.FINISHED:
                    self._let_end(loop, progress, interrupts)
        except KeyboardInterrupt:
            raise Interrupted(self._detached(view.campaign)) from None
        finally:
            progress.close()
        return self._results(end, view.campaign)

    def _wish(self, loop: ScaleLoop, *, yes: bool, max_su: float | None) -> None:
        """Say what it can cost, and begin."""
        most = most_blocks(self._site, None)
        check_bound(self._site, max_su)
        needed = self._session.insist(self._needed)
        if needed:
            agree(self._site, min(most, max(needed, self._site.min_blocks)), self._session.settings, yes=yes, max_su=max_su)
        target = loop.wish((self._name,), min(self._site.min_blocks, most), most, max_su, until_ended=True)
        say(f"{self._site.name} {target_text(target)}")

    def _needed(self, broker: Broker) -> int:
        """Blocks at a time, if nothing else of the user's helps."""
        waiting = waiting_of(broker.ledger.campaigns(), read_lanes(broker.client))
        return blocks_needed(self._site, [group for group in waiting if group.campaign == self._name], [])

    def _follow(self, loop: ScaleLoop, view: CampaignView, interrupts: Interrupts) -> Next:
        while True:
            step = self.run_once(loop, view, interrupts)
            if step is not Next.GO_ON:
                return step
            interrupts.sleep(_LOOK_EVERY_S)

    def run_once(self, loop: ScaleLoop, view: CampaignView, interrupts: Interrupts) -> Next:
        """One step of scaling if it is due, a look at the campaign, and what follows from both."""
        if not interrupts.asked:
            loop.run_once()
        try:
            return self._session.ask(lambda broker: self._look(broker, view, interrupts.asked))
        except Unreachable as error:
            view.note_away(error)
            return Next.DETACH if interrupts.asked else Next.GO_ON

    def _look(self, broker: Broker, view: CampaignView, interrupted: bool) -> Next:
        campaign = view.read(broker)
        heard = heard_of(broker.ledger.workers(), self._session.settings.lease.lease_s)
        view.show(view.snapshot(broker, campaign, [worker.slots for worker in heard if worker.state == "running"]))
        view.note_pause()
        state = SiteState.from_fields(broker.ledger.site(self._site.name))
        return decide(
            campaign,
            site_paused=bool(state.paused),
            is_wished=state.target((self._name,)) is not None,
            live=len(_working_for(broker, self._name)),
            interrupted=interrupted,
        )

    # -- the end --------------------------------------------------------------------------------------------------------------------

    def _let_end(self, loop: ScaleLoop, progress: Progress, interrupts: Interrupts) -> None:
        """The blocks of this campaign have nothing left to do: they were told to leave by the step that saw it end."""
        loop.run_once()
        theirs = self._session.insist(lambda broker: _bound_to(broker, self._name))
        if theirs:
            progress.note(f"waiting for {len(theirs)} blocks to end")
        end = time.monotonic() + _END_S
        while not interrupts.asked and time.monotonic() < end and not all(self._has_said_its_end(block) for block in theirs):
            interrupts.sleep(_LOOK_EVERY_S)
        if theirs:
            self._session.insist(lambda broker: look(broker.ledger, self._session.settings.home, timeout_s=self._site.cmd_timeout_s))

    def _has_said_its_end(self, block: Block) -> bool:
        """By its own file: the scheduler is not asked each second."""
        return block.cancelled_at is not None or read_ended(self._session.settings.home.blocks_dir / block.block_id) is not None

    def _results(self, end: Next, campaign: Campaign | None) -> Results:
        if end is Next.DETACH:
            raise Interrupted(self._detached(campaign))
        assert campaign is not None
        if end is Next.HELD:
            state = SiteState.from_fields(self._session.insist(lambda broker: broker.ledger.site(self._site.name)))
            raise Gone(
                f"no block is left, and nothing is submitted on {self._site.name}, because {state.paused}. "
                f"When its cause is gone: nunatak blocks resume {self._site.name}, and this command again; what waits is kept"
            )
        if end is Next.TAKEN_BACK:
            raise Gone("no block is left, and somebody has ended what this command asked for; given again, it goes on")
        if end is Next.PAUSED:
            say(f"{self._name} is {paused_text(campaign)}")
        return self._session.insist(lambda broker: read_results(broker.ledger, campaign, time.monotonic() - self._since))

    def _detached(self, campaign: Campaign | None) -> str:
        done = f"{campaign.counts[State.DONE]:,} of {campaign.total:,} are done. " if campaign else ""
        return (
            f"{done}Blocks go on without this command. To watch: nunatak status, nunatak blocks list, or this command again. "
            "To submit more when they are needed: this command, or cron (nunatak blocks cron). "
            "To let blocks finish what they run and end: nunatak blocks drain all"
        )


def _live(broker: Broker) -> Sequence[Block]:
    return [Block.from_fields(b.block, b.fields) for b in broker.ledger.blocks() if not b.fields.get("ended_at")]


def _working_for(broker: Broker, name: str) -> list[Block]:
    """Living blocks that work for this campaign, alone or among others."""
    return [block for block in _live(broker) if not block.campaigns or name in block.campaigns]


def _bound_to(broker: Broker, name: str) -> list[Block]:
    """Living blocks that work for it alone."""
    return [block for block in _live(broker) if block.campaigns == (name,) and block.provider != "local"]
