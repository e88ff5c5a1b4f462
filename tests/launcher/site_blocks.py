"""Sites, blocks and situations, as the tests of scaling make them: all well, but for what a test says."""

from typing import Any

from launcher.block import Block, BlockState
from launcher.demand import Waiting
from launcher.scaling import Situation
from launcher.site import Site
from launcher.targets import Target

NOW = 1_800_000_000.0
HOUR = 3600.0


def site(**values: Any) -> Site:
    """Four nodes, two slots each, a day."""
    usual = {"name": "skx", "provider": "slurm", "partition": "skx", "nodes_per_block": 4, "max_workers": 2, "walltime": "24:00:00"}
    return Site(**{**usual, **values})


def block(number: int = 1, state: BlockState = BlockState.RUNNING, **values: Any) -> Block:
    """A block of that site, submitted two hours ago; one that is over has failed to live for a minute."""
    usual: dict[str, Any] = {
        "block_id": f"b{number}",
        "site": "skx",
        "provider": "slurm",
        "partition": "skx",
        "job_id": str(1000 + number),
        "nodes": 4,
        "slots": 2,
        "submitted_at": NOW - 2 * HOUR + number,
        "started_at": NOW - HOUR if state not in (BlockState.INTENDED, BlockState.WAITING) else None,
        "walltime_s": 24 * HOUR,
        "su_per_node_hour": 1.0,
        "ended_at": NOW - HOUR + 60 if state.is_over else None,
    }
    return Block(state=state, **{**usual, **values})


def waiting(count: int, campaign: str = "conus-2m", **values: Any) -> Waiting:
    return Waiting(campaign=campaign, count=count, **values)


def target(**values: Any) -> Target:
    return Target(**{"max_blocks": 10, "since": NOW - 24 * HOUR, **values})


def situation(**values: Any) -> Situation:
    """100 jobfiles wait, nothing is there yet."""
    return Situation(**{"site": site(), "target": target(), "waiting": [waiting(100)], "now": NOW, **values})
