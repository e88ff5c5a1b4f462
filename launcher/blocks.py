"""Submits, watches and cancels blocks: every path from here to a scheduler goes through launcher/providers.py."""

import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

from broker.home import Home
from launcher.answer import Answer
from launcher.block import Block, BlockState
from launcher.cap import Cap
from launcher.command import worker_command
from launcher.errors import BlockExists, SubmitFailed, SubmitRefused
from launcher.order import Order
from launcher.output import last_line, output_tail
from launcher.providers import provider_of
from launcher.sighting import Sighting, after
from launcher.site import Site

log = logging.getLogger(__name__)

#: A command of the scheduler that takes longer has not answered.
COMMAND_S = 60.0


class Recorder(Protocol):
    """Whoever remembers blocks: `broker.ledger.Ledger`."""

    def record_block(self, block_id: str, fields: dict[str, str]) -> object:
        """Keep these fields; return only when they are safe. "over": somebody has found meanwhile that the block is over."""


class Referee(Recorder, Protocol):
    """Who also decides whether one more block may be: `broker.ledger.Ledger`, asked by all launchers."""

    def intend(self, block_id: str, fields: dict[str, str], *, site: str, seen: int, max_live: int | None, per_hour: int) -> str:
        """Keep the intent and say "ok", or keep nothing and say which rule forbids it."""


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
    archive: Path | None = None,
    cap: Cap | None = None,
    clock: Callable[[], float] = time.time,
) -> Block:
    """Submit one block and return it as recorded.

    The intent is recorded before the submission and the job id after it, so that a launcher that dies in between leaves a trace by
    which the next one finds the block. `command` is what each node runs, our worker if empty, which then starts from `archive` if
    there is one. With a `cap` the ledger (a Referee) may refuse: SubmitRefused, and nothing was submitted. Raises SubmitFailed, and
    whatever `ledger` raises; what fails after a submission leaves the block INTENDED, never forgotten.
    """
    provider, own = provider_of(site.provider), not command
    intent = provider.intend(site, _first_record(site, block_id, campaigns, clock()))
    order = Order(command=tuple(command or worker_command(block_id)), archive=archive if own else None, home=home.root)
    folder = _make_folder(home, block_id)
    try:
        _record_intent(ledger, intent, cap)
    except SubmitRefused:
        folder.rmdir()
        raise
    try:
        block = provider.submit(site, intent, folder, order)
    except SubmitFailed as error:
        ledger.record_block(block_id, _after_failure(intent, error, clock()).to_fields())
        raise
    if ledger.record_block(block_id, block.to_fields()) == "over":
        _take_back(block, folder)
    log.info("block.submitted block=%s site=%s job_id=%s", block_id, site.name, block.job_id)
    return block


def look(block: Block, home: Home, *, timeout_s: float = COMMAND_S, clock: Callable[[], float] = time.time) -> Block:
    """The block as it is now; the same object if nothing has changed, so that the caller records only what is new."""
    return look_all([block], home, timeout_s=timeout_s, clock=clock).blocks[0]


def look_all(
    blocks: Sequence[Block],
    home: Home,
    *,
    providers: Iterable[str] = (),
    timeout_s: float = COMMAND_S,
    clock: Callable[[], float] = time.time,
) -> Answer:
    """All these blocks as they are now, in their order, with one question to each of their schedulers, which may take `timeout_s`.

    `providers` are asked although none of the blocks may be theirs: whoever wants to submit must know that they answer. What is over
    is not looked at.
    """
    live = [block for block in blocks if not block.state.is_over]
    seen: dict[str, Sighting] = {}
    answer = Answer()
    for name in sorted({*providers, *(block.provider for block in live)}):
        theirs = [(block, block_folder(home, block.block_id)) for block in live if block.provider == name]
        heard = provider_of(name).look_all(theirs, clock(), timeout_s)
        seen |= heard.sightings
        answer = answer.with_said(name, heard)
    now = clock()
    found = tuple(after(block, seen[block.block_id], now) if block.block_id in seen else block for block in blocks)
    return replace(answer, blocks=found)


def cancel(
    block: Block, home: Home, *, ledger: Recorder, timeout_s: float = COMMAND_S, clock: Callable[[], float] = time.time
) -> Block:
    """Ask the block to end: its jobfiles are ended and handed back. That it was asked is recorded first. Look at it to see it end.

    Raises CancelFailed if the scheduler could not be told; a later look tells it again.
    """
    if block.state.is_over:
        return block
    leaving = replace(block, state=BlockState.LEAVING, cancelled_at=block.cancelled_at or clock())
    ledger.record_block(block.block_id, leaving.to_fields())
    provider_of(block.provider).cancel(leaving, block_folder(home, block.block_id), timeout_s)
    log.info("block.cancelled block=%s", block.block_id)
    return leaving


def said(block: Block, home: Home, lines: int = 20) -> str:
    """The last lines of the block's own output, to be shown after a bad end."""
    return output_tail(block_folder(home, block.block_id), lines)


def with_last_words(block: Block, home: Home) -> Block:
    """The same, of a block that failed with the last line of its own output in its reason: whoever looks later sees why."""
    words = ""
    # The reason is worth no failed look.
    with contextlib.suppress(OSError):
        words = last_line(block_folder(home, block.block_id)) if block.state is BlockState.FAILED else ""
    return replace(block, reason="; ".join(part for part in (block.reason, f"it last said: {words}") if part)) if words else block


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
        slots=site.max_workers or 1,
        submitted_at=now,
        partition=site.partition,
        walltime_s=site.walltime_s,
        su_per_node_hour=site.su_per_node_hour,
        least_charged_s=site.least_charged_s,
        parsl_config=site.parsl_config if site.provider == "parsl" else "",
    )


def _record_intent(ledger: Recorder, intent: Block, cap: Cap | None) -> None:
    if cap is None:
        ledger.record_block(intent.block_id, intent.to_fields())
        return
    fields = intent.to_fields()
    why = cast(Referee, ledger).intend(
        intent.block_id, fields, site=intent.site, seen=cap.seen, max_live=cap.max_live, per_hour=cap.per_hour
    )
    if why != "ok":
        raise SubmitRefused(why)


def _after_failure(intent: Block, error: SubmitFailed, now: float) -> Block:
    """Some schedulers report an error and carry the submission out all the same: only a later look can tell, unless they said no."""
    if error.refused:
        return replace(intent, state=BlockState.FAILED, reason=str(error), ended_at=now)
    return replace(intent, state=BlockState.UNKNOWN, reason=str(error))


def _take_back(block: Block, folder: Path) -> None:
    """The submission took so long that another launcher has given it up, and nobody would ever look at the job."""
    provider_of(block.provider).cancel(block, folder, COMMAND_S)
    what = f"block {block.block_id} was given up by another launcher while it was being submitted; its job {block.job_id} was cancelled"
    raise SubmitFailed(what, refused=True)


def _make_folder(home: Home, block_id: str) -> Path:
    folder = block_folder(home, block_id)
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise BlockExists(f"a block {block_id} exists already, in {folder}. Use a new block id") from None
    return folder.resolve()
