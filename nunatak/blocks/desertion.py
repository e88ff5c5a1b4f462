"""Ends blocks that nobody is in any more; since when that is so is kept in their records, because a launcher may come and go."""

from broker.ledger import Ledger
from broker.records import WorkerSeen
from launcher.block import Block, BlockState
from launcher.deserted import is_deserted
from nunatak.blocks.backlog import nodes_of
from nunatak.blocks.watch import Seen
from nunatak.recent import Pulse


def deserted(ledger: Ledger, seen: Seen, pulse: Pulse, now: float) -> list[Block]:
    """Those to cancel; what is new of the others is recorded."""
    in_contact = nodes_of(seen.workers, pulse.lease_s)
    found = []
    for block in seen.blocks:
        if block.state is not BlockState.RUNNING or block.provider == "local" or block.block_id not in seen.heard:
            continue
        quiet_since = _quiet_since(ledger, block, seen, block.block_id not in in_contact, now)
        listed = _listed(block, seen.workers)
        if is_deserted(block, listed=listed, quiet_since=quiet_since, steady_since=pulse.gap_at, now=now):
            found.append(block)
    return found


def _listed(block: Block, workers: tuple[WorkerSeen, ...]) -> int:
    return sum(worker.block == block.block_id for worker in workers)


def _quiet_since(ledger: Ledger, block: Block, seen: Seen, is_quiet: bool, now: float) -> float | None:
    known = seen.quiet.get(block.block_id)
    if is_quiet == (known is not None):
        return known
    ledger.record_block(block.block_id, {"quiet_since": f"{now:.3f}" if is_quiet else ""})
    return now if is_quiet else None
