"""How many blocks to submit now: a pure function of the site, the wish, what waits, and what the scheduler has said for certain.

The order is that of caution: a pause, silence, anything unknown and the back-off forbid all; then need, wish, limits and purse bound it.
"""

import enum
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from launcher.back_off import Trouble, trouble
from launcher.block import Block, BlockState
from launcher.cost import affordable, format_su
from launcher.demand import Help, Nodes, Waiting, blocks_needed, fitting, help_of
from launcher.site import Site
from launcher.targets import Target

_HOUR_S = 3600.0


class Hold(enum.Enum):
    """What keeps launchers from submitting all that the waiting jobfiles could use."""

    #: Nothing does.
    NONE = "none"
    #: A person must look first.
    PAUSED = "paused"
    #: The scheduler has not said anything that can be used.
    SILENT = "silent"
    #: Of a block that was submitted it is not known what became of it.
    UNKNOWN = "unknown"
    #: The last submissions came to nothing.
    BACK_OFF = "back-off"
    #: There are as many blocks, or jobs, as are wanted or allowed.
    FULL = "full"
    #: There were as many submissions within an hour as are allowed.
    HOUR = "hour"
    #: Another block could cost more than is allowed.
    PURSE = "purse"
    #: What waits takes longer than a block lasts.
    UNFIT = "unfit"


#: Of these a person should hear; that a site is full is as it should be.
TELLING = (Hold.PAUSED, Hold.SILENT, Hold.UNKNOWN, Hold.BACK_OFF, Hold.PURSE, Hold.UNFIT)


@dataclass(frozen=True, kw_only=True)
class Situation:
    """All that a decision depends on."""

    site: Site
    target: Target
    #: Why a person has to say go first; empty: nobody has.
    paused: str = ""
    #: When somebody last did; failures before are forgiven.
    resumed_at: float = 0.0
    #: All recorded blocks, of all sites, as they were seen just now.
    blocks: Sequence[Block] = ()
    #: Those of which a node has reported at some time.
    heard: Collection[str] = ()
    #: Block id -> its nodes that are in contact.
    nodes: Mapping[str, Nodes] = field(default_factory=dict)
    #: What waits, of all campaigns that are not paused.
    waiting: Sequence[Waiting] = ()
    #: Why the scheduler's answer cannot be used; empty: it can.
    silence: str = ""
    #: Partition -> this user's jobs there that are none of the blocks: (running, waiting).
    others: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    now: float

    @property
    def own(self) -> list[Block]:
        """The site's blocks."""
        return [block for block in self.blocks if block.site == self.site.name]

    @property
    def seen(self) -> int:
        """The site's blocks that are not known to have ended, as the ledger counts them."""
        return sum(block.ended_at is None for block in self.own)

    @property
    def wanted(self) -> list[Waiting]:
        """What waits and is the target's."""
        return [group for group in self.waiting if not self.target.campaigns or group.campaign in self.target.campaigns]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What to do now."""

    #: Blocks to submit.
    submit: int = 0
    #: What keeps it from being more.
    hold: Hold = Hold.NONE
    #: The same in words; empty: nothing does.
    why: str = ""
    #: The words are new and a person must lift what they say.
    pause: bool = False


@dataclass(frozen=True, kw_only=True)
class Bound:
    """Something that allows only so many more blocks."""

    #: How many more; may be less than 0.
    most: int
    hold: Hold
    #: Its words, for a person.
    why: str


def decide(situation: Situation) -> Decision:
    """How many blocks to submit now, and what keeps it from being more."""
    found = trouble(situation.own, situation.heard, since=situation.resumed_at, now=situation.now)
    forbidden = _forbidden(situation, found)
    if forbidden is not None:
        return forbidden
    need = _need(situation)
    if not need:
        return _nothing_needed(situation)
    bounds = _bounds(situation)
    least = min(bounds, key=lambda bound: bound.most)
    if least.most >= need:
        return Decision(submit=need)
    return Decision(submit=max(0, least.most), hold=least.hold, why=least.why)


def _forbidden(situation: Situation, found: Trouble) -> Decision | None:
    """Why not even one block may be submitted now."""
    if situation.paused:
        return Decision(hold=Hold.PAUSED, why=situation.paused)
    if found.pause:
        return Decision(hold=Hold.PAUSED, why=found.pause, pause=True)
    if situation.silence:
        return Decision(hold=Hold.SILENT, why=situation.silence)
    unknown = unknown_blocks(situation.site, situation.blocks)
    if unknown:
        return Decision(hold=Hold.UNKNOWN, why=unknown_text(unknown))
    if situation.now < found.not_before:
        return Decision(hold=Hold.BACK_OFF, why=_back_off_text(found))
    return None


def unknown_blocks(site: Site, blocks: Sequence[Block]) -> list[Block]:
    """Blocks of the site's scheduler, of whichever site, of which nobody knows what became of them: its answer was not whole."""
    theirs = [b for b in blocks if b.provider == site.provider and (site.provider != "parsl" or b.parsl_config == site.parsl_config)]
    return [block for block in theirs if block.state is BlockState.UNKNOWN]


def unknown_text(unknown: Sequence[Block]) -> str:
    """Which, and the reason of the first."""
    more = f" (and of {len(unknown) - 1} more)" if len(unknown) > 1 else ""
    return f"it is not known what became of block {unknown[0].block_id}{more}: {unknown[0].reason or 'nobody has said anything of it'}"


def _back_off_text(found: Trouble) -> str:
    assert found.last is not None
    until = time.strftime("%H:%M", time.localtime(found.not_before))
    what = "was refused" if found.last.started_at is None and not found.last.job_id else "died young"
    return f"the last block, {found.last.block_id}, {what} ({found.last.reason or 'no reason is known'}); tried again at {until}"


def _need(situation: Situation) -> int:
    """Blocks that the waiting jobfiles could use, and at least what is missing to the wished minimum while anything waits."""
    if not fitting(situation.site, situation.wanted):
        return 0
    lacking = situation.target.min_blocks - len(_taking(_of_target(situation)))
    return max(blocks_needed(situation.site, situation.wanted, _helping(situation)), lacking)


def _helping(situation: Situation) -> list[Help]:
    live = [block for block in situation.blocks if not block.state.is_over]
    return [help_of(block, situation.nodes.get(block.block_id, Nodes()), situation.now) for block in live]


def _of_target(situation: Situation) -> list[Block]:
    return [block for block in situation.own if not block.state.is_over and set(block.campaigns) == set(situation.target.campaigns)]


def _taking(blocks: Sequence[Block]) -> list[Block]:
    """Those that were not told to end or to take no more."""
    return [b for b in blocks if b.state is not BlockState.LEAVING and b.drained_at is None and b.cancelled_at is None]


def _nothing_needed(situation: Situation) -> Decision:
    too_long = sum(group.count for group in situation.wanted) if not fitting(situation.site, situation.wanted) else 0
    if not too_long:
        return Decision()
    return Decision(hold=Hold.UNFIT, why=f"the {too_long:,} jobfiles that wait take longer than its walltime, {situation.site.walltime}")


def _bounds(situation: Situation) -> list[Bound]:
    site, target = situation.site, situation.target
    wish = target.max_blocks - len(_of_target(situation))
    bounds = [Bound(most=wish, hold=Hold.FULL, why=f"it has the {target.max_blocks} blocks that were asked for"), *limits(situation)]
    since = [block for block in situation.own if block.submitted_at >= target.since and set(block.campaigns) == set(target.campaigns)]
    money = affordable(site, since, target.max_su, situation.now)
    if money is not None:
        why = f"another block could cost {format_su(site.block_su_max)}, and all together may cost {format_su(target.max_su)}"
        bounds.append(Bound(most=money, hold=Hold.PURSE, why=why))
    return bounds


def limits(situation: Situation) -> list[Bound]:
    """What the site allows, over all launchers of the user, with jobs of the user's that are not ours."""
    site = situation.site
    ours, (running, waiting) = _ours_in_partition(situation), _others(situation)
    bounds = []
    if site.max_running is not None:
        # Whatever waits may start at any time.
        why = f"the site lets a user have {site.max_running} jobs running"
        bounds.append(Bound(most=site.max_running - ours - running, hold=Hold.FULL, why=why))
    if site.max_submitted is not None:
        why = f"the site lets a user have {site.max_submitted} jobs running or waiting"
        bounds.append(Bound(most=site.max_submitted - ours - running - waiting, hold=Hold.FULL, why=why))
    lately = sum(block.submitted_at > situation.now - _HOUR_S for block in situation.own)
    why = f"there were {site.submissions_per_hour} submissions in the last hour, which is the limit"
    bounds.append(Bound(most=site.submissions_per_hour - lately, hold=Hold.HOUR, why=why))
    return bounds


def _ours_in_partition(situation: Situation) -> int:
    site = situation.site
    theirs = [block for block in situation.blocks if block.provider == site.provider and not block.state.is_over]
    return sum(_overlap(block.partition, site.partition) for block in theirs)


def _others(situation: Situation) -> tuple[int, int]:
    counts = [count for partition, count in situation.others.items() if _overlap(partition, situation.site.partition)]
    return sum(running for running, _ in counts), sum(waiting for _, waiting in counts)


def _overlap(one: str, other: str) -> bool:
    """Whether two lists of partitions share one; the default partition, whose name we do not know, may be any."""
    return not one or not other or bool(set(one.split(",")) & set(other.split(",")))
