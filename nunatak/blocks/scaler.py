"""One step of scaling, on the ledger and the scheduler as they are: `run_once`. `scale`, `tick` and `run -f` are loops around it.

It keeps nothing between two steps, so that it may be killed at any moment and go on anywhere else. Two at once do no harm: the ledger
takes an intent only if the site has as many blocks as its launcher has counted.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from broker.records import Campaign
from launcher import blocks as launcher
from launcher.block import Block, BlockState
from launcher.cap import Cap
from launcher.errors import CancelFailed, LauncherError, SubmitFailed, SubmitRefused
from launcher.scaling import TELLING, Decision, Situation, decide
from launcher.site import Site
from launcher.site_file import read_site
from launcher.targets import SiteState, Target
from nunatak.blocks.backlog import nodes_of, read_lanes, waiting_of
from nunatak.blocks.desertion import deserted
from nunatak.blocks.leaving import let_leave
from nunatak.blocks.submitting import submit_block
from nunatak.blocks.watch import Seen, look
from nunatak.blocks.wishes import take_back
from nunatak.blocks.words import end_text
from nunatak.recent import Recent
from nunatak.session import Broker, Session

log = logging.getLogger(__name__)

#: A question to the scheduler may come so much sooner than its period: cron's minutes are not exact.
_EARLY = 0.9


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a step has done for one site."""

    site: str
    submitted: tuple[Block, ...] = ()
    #: Why less is submitted than what waits could use, as the last target has it; empty: nothing is held back.
    held: str = ""
    #: A person must say go first.
    paused: bool = False


class Scaler:
    """The step, for all sites that somebody has a wish for."""

    def __init__(self, session: Session, tell: Callable[[str], object], clock: Callable[[], float] = time.time) -> None:
        self._session = session
        self._tell = tell
        self._clock = clock
        #: Site file -> when it was changed, and what it says: running a Parsl config takes longer than a step.
        self._read: dict[str, tuple[int, Site]] = {}

    def run_once(self, names: Collection[str] | None = None, *, at_once: bool = False) -> list[Report]:
        """One step for these sites, or for all, as far as their poll period is over. Raises Unreachable, BadSite, NoSite.

        `at_once`: a person has asked, and is not to wait for the period. A site file that cannot be read any more is told after the other
        sites have had theirs.
        """
        return self._session.ask(lambda broker: self._step(broker, names, at_once))

    def _step(self, broker: Broker, names: Collection[str] | None, at_once: bool) -> list[Report]:
        states = {
            name: state for name, fields in broker.ledger.sites().items()
            if (names is None or name in names) and (state := SiteState.from_fields(fields)).targets
        }  # fmt: skip
        states = {name: self._without_ended(broker, name, state) for name, state in states.items()} if states else {}
        sites, bad = self._sites(state.source for state in states.values() if state.targets)
        due = [site for site in sites if at_once or is_due(site, states[site.name], self._clock())]
        reports = self._follow(broker, due, states) if due else []
        if bad:
            raise bad[0]
        return reports

    def _follow(self, broker: Broker, due: Sequence[Site], states: dict[str, SiteState]) -> list[Report]:
        for site in due:
            # Before the question: one that is never answered was asked too.
            broker.ledger.record_site(site.name, {"polled_at": f"{self._clock():.3f}"})
        seen = look(
            broker.ledger, self._session.settings.home, providers={site.provider for site in due},
            timeout_s=max(site.cmd_timeout_s for site in due), clock=self._clock,
        )  # fmt: skip
        for block in seen.ended:
            self._tell_end(block)
        pulse = Recent(broker.client).pulse()
        for block in deserted(broker.ledger, seen, pulse, broker.ledger.now_s()):
            self._cancel_deserted(broker, block)
        reports = []
        for site in due:
            turn = _Turn(broker=broker, site=site, state=states[site.name], seen=seen, lease_s=pulse.lease_s)
            report, seen = self._serve(turn)
            reports.append(report)
        return reports

    def _sites(self, sources: Iterable[str]) -> tuple[list[Site], list[LauncherError]]:
        """What the site files say, and what is wrong with the others."""
        sites, bad = [], []
        for source in sources:
            try:
                sites.append(self._site(source))
            except LauncherError as error:
                bad.append(error)
        return sites, bad

    def _site(self, source: str) -> Site:
        path = Path(source)
        changed = path.stat().st_mtime_ns if path.is_file() else 0
        if self._read.get(source, (None, None))[0] != changed:
            self._read[source] = changed, read_site(path)
        return self._read[source][1]

    def _tell_end(self, block: Block) -> None:
        if block.state is BlockState.FAILED:
            self._tell(end_text(block, launcher.said(block, self._session.settings.home)))

    def _cancel_deserted(self, broker: Broker, block: Block) -> None:
        try:
            launcher.cancel(block, self._session.settings.home, ledger=broker.ledger, clock=self._clock)
        except CancelFailed as error:
            log.warning("scale.cancel_failed block=%s error=%r", block.block_id, str(error))
        self._tell(f"block {block.block_id} runs, its scheduler says, but nobody is in it any more: cancelled")

    # -- one site -------------------------------------------------------------------------------------------------------------------

    def _serve(self, turn: "_Turn") -> tuple[Report, Seen]:
        """All wishes for one site, and what is to be known of it by the sites that follow."""
        submitted: list[Block] = []
        held, has_failed = "", False
        for target in turn.state.targets:
            situation = turn.situation(target, submitted, self._clock())
            decision = decide(situation)
            if decision.pause:
                turn.broker.ledger.record_site(turn.site.name, turn.state.since("paused", decision.why, self._clock()))
            fresh, failed = self._submit(turn, target, situation.seen, decision)
            submitted += fresh
            held = held or failed or (decision.why if decision.hold in TELLING and (situation.wanted or decision.pause) else "")
            if failed:
                has_failed, turn = True, turn.after_failure(failed)
        paused = bool(turn.broker.ledger.site(turn.site.name).get("paused"))
        self._note_held(turn, held, paused=paused, is_news=paused or has_failed or not turn.state.held)
        return Report(site=turn.site.name, submitted=tuple(submitted), held=held, paused=paused), turn.seen_with(submitted)

    def _submit(self, turn: "_Turn", target: Target, seen: int, decision: Decision) -> tuple[list[Block], str]:
        """The blocks that were decided on, one after the other until one is not taken; and why it was not."""
        done: list[Block] = []
        campaigns = [c for c in turn.campaigns if c.name in target.campaigns]
        for number in range(decision.submit):
            cap = Cap(seen=seen + number, max_live=seen + decision.submit, per_hour=turn.site.submissions_per_hour)
            try:
                block = submit_block(turn.broker, self._session.settings, turn.site, campaigns, cap)
            except SubmitRefused as refused:
                # Another launcher is at it: the next step sees what it has done.
                log.info("scale.refused site=%s why=%s", turn.site.name, refused.why)
                break
            except SubmitFailed as failed:
                return done, str(failed)
            self._tell(f"submitted block {block.block_id} to {turn.site.name}, job {block.job_id}")
            done.append(block)
        return done, ""

    def _note_held(self, turn: "_Turn", held: str, *, paused: bool, is_news: bool) -> None:
        changes = turn.state.since("held", held, self._clock())
        if not changes:
            return
        turn.broker.ledger.record_site(turn.site.name, changes)
        log.info("scale.held site=%s why=%r", turn.site.name, held)
        if not held:
            self._tell(f"blocks are submitted on {turn.site.name} again, where they are needed")
        elif is_news:
            remedy = f"; when its cause is gone: nunatak blocks resume {turn.site.name}" if paused else ""
            self._tell(f"nothing more is submitted on {turn.site.name}, because {held}{remedy}")

    # -- wishes that are over -------------------------------------------------------------------------------------------------------

    def _without_ended(self, broker: Broker, name: str, state: SiteState) -> SiteState:
        """The state without targets whose campaigns have all ended, after their blocks were told to leave."""
        campaigns = {c.name: c for c in broker.ledger.campaigns()}
        over = [t for t in state.targets if t.until_ended and all(n not in campaigns or campaigns[n].has_ended for n in t.campaigns)]
        for target in over:
            self.end(broker, name, target)
        return SiteState.from_fields(broker.ledger.site(name)) if over else state

    def end(self, broker: Broker, name: str, target: Target) -> None:
        """Remove the target, and let the blocks that work for its campaigns alone leave: nothing is left for them."""
        theirs = [
            block for seen in broker.ledger.blocks() if not seen.fields.get("ended_at")
            if (block := Block.from_fields(seen.block, seen.fields)).site == name and set(block.campaigns) == set(target.campaigns)
        ]  # fmt: skip
        for word in let_leave(broker, self._session.settings, theirs if target.campaigns else []):
            log.info("scale.leaves what=%r", word)
        take_back(broker.ledger, name, target.campaigns)


@dataclass(frozen=True, kw_only=True)
class _Turn:
    """One site's part of a step."""

    broker: Broker
    site: Site
    state: SiteState
    seen: Seen
    lease_s: float

    @property
    def campaigns(self) -> list[Campaign]:
        return self.broker.ledger.campaigns()

    def situation(self, target: Target, added: Sequence[Block], now: float) -> Situation:
        return Situation(
            site=self.site,
            target=target,
            paused=self.state.paused,
            resumed_at=self.state.resumed_at,
            blocks=(*self.seen.blocks, *added),
            heard=self.seen.heard,
            nodes=nodes_of(self.seen.workers, self.lease_s),
            waiting=waiting_of(self.campaigns, read_lanes(self.broker.client)),
            silence=self.seen.silence.get(self.site.provider, ""),
            others=self.seen.others,
            now=now,
        )

    def after_failure(self, why: str) -> "_Turn":
        """What this scheduler has done is not known for certain: nothing more is asked of it in this step."""
        return replace(self, seen=replace(self.seen, silence={**self.seen.silence, self.site.provider: why}))

    def seen_with(self, added: Iterable[Block]) -> Seen:
        return replace(self.seen, blocks=(*self.seen.blocks, *added))


def is_due(site: Site, state: SiteState, now: float) -> bool:
    """Whether its scheduler has been left in peace for long enough; a time that lies ahead is another host's clock."""
    return not now - site.poll_every_s * _EARLY < state.polled_at <= now + site.poll_every_s
