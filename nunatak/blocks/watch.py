"""One look at all blocks: what is recorded, what their schedulers say now, and what is new of it recorded."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from broker.home import Home
from broker.ledger import Ledger
from broker.records import WorkerSeen
from launcher import blocks as launcher
from launcher.answer import Answer
from launcher.block import Block
from launcher.process import here
from launcher.targets import SiteState

log = logging.getLogger(__name__)

#: The field of a block's record that says when one of its nodes was first heard of.
HEARD = "heard_at"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """All recorded blocks, as they are now, as far as anybody knows."""

    blocks: tuple[Block, ...]
    #: Those of which a node has reported at some time.
    heard: frozenset[str]
    workers: tuple[WorkerSeen, ...]
    #: Provider -> why its scheduler's answer cannot be used.
    silence: Mapping[str, str] = field(default_factory=dict)
    #: Partition -> this user's jobs there that are none of the blocks: (running, waiting).
    others: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    #: Blocks that were found to have ended by this look, without their own last words.
    ended: tuple[Block, ...] = ()
    #: Those of `heard` whose records do not say so yet.
    unmarked: frozenset[str] = frozenset()
    #: Block -> since when none of its nodes was in contact when a launcher looked.
    quiet: Mapping[str, float] = field(default_factory=dict)


def read_blocks(ledger: Ledger) -> Seen:
    """What is recorded; nobody is asked."""
    workers, recorded = tuple(ledger.workers()), ledger.blocks()
    marked = {b.block for b in recorded if b.fields.get(HEARD)}
    unmarked = {w.block for w in workers} & {b.block for b in recorded} - marked
    blocks = tuple(Block.from_fields(b.block, b.fields) for b in recorded)
    quiet = {b.block: float(b.fields["quiet_since"]) for b in recorded if b.fields.get("quiet_since")}
    return Seen(blocks=blocks, heard=frozenset(marked | unmarked), workers=workers, unmarked=frozenset(unmarked), quiet=quiet)


def look(
    ledger: Ledger,
    home: Home,
    *,
    providers: Iterable[str] = (),
    timeout_s: float = launcher.COMMAND_S,
    clock: Callable[[], float] = time.time,
) -> Seen:
    """Ask the schedulers of all living blocks, and those of `providers` in any case, each once; record what is new."""
    before = read_blocks(ledger)
    asked = [block for block in before.blocks if not block.state.is_over and _can_be_seen(block)]
    answer = launcher.look_all(asked, home, providers=providers, timeout_s=timeout_s, clock=clock)
    # Each of them lived until now, so what has failed is news.
    now = {block.block_id: launcher.with_last_words(block, home) for block in answer.blocks}
    after = tuple(now.get(block.block_id, block) for block in before.blocks)
    _record(ledger, before, after, clock())
    _record_silence(ledger, after, answer, {*providers, *(block.provider for block in asked)}, clock())
    ended = tuple(block for block in answer.blocks if block.state.is_over)
    return replace(before, blocks=after, silence=answer.silence, others=answer.others, ended=ended)


def _can_be_seen(block: Block) -> bool:
    """A block of another machine's can be judged there only: from here it would look lost."""
    return block.provider != "local" or (block.process is not None and block.process.host == here().host)


def _record(ledger: Ledger, before: Seen, after: Sequence[Block], now: float) -> None:
    for old, new in zip(before.blocks, after, strict=True):
        if new is not old:
            ledger.record_block(new.block_id, new.to_fields())
        if new.state is not old.state:
            log.info("block.seen block=%s state=%s reason=%r", new.block_id, new.state.value, new.reason)
    for block_id in sorted(before.unmarked):
        ledger.record_block(block_id, {HEARD: f"{now:.3f}"})


def _record_silence(ledger: Ledger, blocks: Sequence[Block], answer: Answer, providers: set[str], now: float) -> None:
    """For every site whose scheduler was asked; which scheduler that is stands in its blocks and in its own record."""
    provider_of = {block.site: block.provider for block in blocks}
    for name, fields in ledger.sites().items():
        provider = fields.get("provider") or provider_of.get(name, "")
        if provider in providers:
            state = SiteState.from_fields(fields)
            ledger.record_site(name, {"polled_at": f"{now:.3f}", **state.since("silence", answer.silence.get(provider, ""), now)})
