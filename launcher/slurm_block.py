"""Submits, watches and cancels Slurm's blocks."""

import logging
import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from launcher.answer import Heard
from launcher.block import Block, BlockState
from launcher.errors import CancelFailed, SubmitFailed
from launcher.order import Order
from launcher.site import Site
from launcher.slurm_commands import NO_SUCH_JOB, CommandFailed, NoCommand, is_forgotten, queue
from launcher.slurm_files import NODE_SCRIPT, read_ended, read_started
from launcher.slurm_queue import Garbage, Row, others, parse_queue, row_of
from launcher.slurm_reasons import is_refusal
from launcher.slurm_script import node_script
from launcher.slurm_state import MISSING_S, Facts, judge, missing_s

log = logging.getLogger(__name__)


class SlurmBlocks:
    """Slurm's side of launcher/blocks.py."""

    def intend(self, site: Site, block: Block) -> Block:
        """Complete the intent: with how many slots. When it ends is known when it has begun."""
        return replace(block, slots=site.max_workers or site.cores_per_node or 1)

    def submit(self, site: Site, block: Block, folder: Path, order: Order) -> Block:
        """Write the block's scripts and hand them to sbatch. Raises SubmitFailed."""
        # Parsl takes 0.34 s to import, and most commands do not start a block.
        from parsl.providers.errors import SubmitException

        from launcher.slurm_provider import SlurmBlockProvider

        _write(folder / NODE_SCRIPT, node_script(site, block.block_id, order))
        provider = SlurmBlockProvider(site, block.block_id, folder, site.cmd_timeout_s)
        try:
            job_id = provider.submit(shlex.join(order.command), 1, block.block_id)
        except SubmitException as error:
            what = f'sbatch ended with {error.retcode} for block {block.block_id}: "{provider.said}"'
            raise SubmitFailed(_with_remedy(what, folder), refused=is_refusal(f"{error.stderr}")) from error
        except CommandFailed as error:
            what = f"block {block.block_id} was not submitted, as far as is known: {error}"
            raise SubmitFailed(_with_remedy(what, folder), refused=isinstance(error, NoCommand)) from error
        if not job_id.isdigit():
            raise SubmitFailed(_with_remedy(f"sbatch gave block {block.block_id} the number {job_id!r}, which is none", folder))
        return replace(block, state=BlockState.WAITING, job_id=job_id)

    def look_all(self, blocks: Sequence[tuple[Block, Path]], now: float, timeout_s: float) -> Heard:
        """One question for all; each block's own files besides."""
        rows, silence = _ask(timeout_s)
        facts = [_gather(block, folder, rows, now, timeout_s) for block, folder in blocks]
        for one in facts:
            _tell_again(one, timeout_s)
        return Heard(
            sightings={one.block.block_id: judge(one) for one in facts},
            silence=silence,
            others=others(rows or (), [block.block_id for block, _ in blocks]),
        )

    def cancel(self, block: Block, folder: Path, timeout_s: float) -> None:
        """scancel, by the job's number. Raises CancelFailed."""
        job_id = block.job_id or _number_of(block, folder, timeout_s)
        if not job_id:
            raise CancelFailed(f"block {block.block_id} has no job number yet; it is cancelled when squeue shows it")
        _scancel(block, job_id, folder, timeout_s)


def write_script(site: Site, block_id: str, folder: Path) -> Path:
    """The script that a submission would hand to sbatch, for `sbatch --test-only`; nothing is submitted."""
    from launcher.slurm_provider import SlurmBlockProvider

    return SlurmBlockProvider(site, block_id, folder, site.cmd_timeout_s).write_script()


def _ask(timeout_s: float) -> tuple[tuple[Row, ...] | None, str]:
    """Slurm's rows, or None and why there are none."""
    try:
        return parse_queue(queue(timeout_s)), ""
    except (CommandFailed, Garbage) as error:
        log.info("slurm.silent why=%r", str(error))
        return None, str(error)


def _gather(block: Block, folder: Path, rows: tuple[Row, ...] | None, now: float, timeout_s: float) -> Facts:
    facts = Facts(
        block=block,
        row=row_of(block.block_id, block.job_id, rows or ()),
        healthy=rows is not None,
        started=read_started(folder),
        ended=read_ended(folder),
        forgotten=False,
        now=now,
    )
    job_id = block.job_id or (facts.started.job_id if facts.started else "")
    if missing_s(facts) < MISSING_S or not job_id:
        return facts
    return replace(facts, forgotten=is_forgotten(job_id, block.block_id, timeout_s))


def _tell_again(facts: Facts, timeout_s: float) -> None:
    """A block that was asked to end and that Slurm still has waiting or running has not been told: Slurm was away, or it had no number."""
    row, block = facts.row, facts.block
    if row is None or block.cancelled_at is None or row.state not in (BlockState.WAITING, BlockState.RUNNING):
        return
    try:
        _scancel(block, row.job_id, Path(), timeout_s)
    except CancelFailed as error:
        log.warning("block.cancel_failed block=%s error=%r", block.block_id, str(error))


def _number_of(block: Block, folder: Path, timeout_s: float) -> str:
    rows, silence = _ask(timeout_s)
    row, started = row_of(block.block_id, "", rows or ()), read_started(folder)
    if row is None and started is None and silence:
        raise CancelFailed(f"block {block.block_id} has no job number yet, and Slurm was silent: {silence}; the next look tries again")
    return row.job_id if row else started.job_id if started else ""


def _scancel(block: Block, job_id: str, folder: Path, timeout_s: float) -> None:
    from launcher.slurm_provider import SlurmBlockProvider

    provider = SlurmBlockProvider(Site(name=block.site, provider="slurm"), block.block_id, folder, timeout_s)
    provider.adopt(job_id)
    try:
        (was_told,) = provider.cancel([job_id])
    except CommandFailed as error:
        raise CancelFailed(f"block {block.block_id} was not cancelled: {error}; the next look tries again") from error
    # A job that ends at this very moment cannot be told any more, and need not be; what became of it is for the next look.
    if not was_told and NO_SUCH_JOB not in provider.said:
        what = f'block {block.block_id} was not cancelled: scancel {job_id} said "{provider.said}"'
        raise CancelFailed(f"{what}; the next look tries again")


def _with_remedy(what: str, folder: Path) -> str:
    return f"{what}. Its script is kept in {folder}: try sbatch --test-only on it"


def _write(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_bytes(os.fsencode(text))
