"""What blocks look like on a simulated site."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Blocks of one kind, and how many of them there may be at once.

    A block is charged for all its nodes until its last one leaves, as Slurm does. Giving back single nodes could at best make it as good as
    one-node blocks.
    """

    nodes: int = 20
    #: Jobfiles at once on a node.
    slots_per_node: int = 2
    walltime_s: float = 48 * 3600.0
    #: Blocks that wait or run at once.
    max_blocks: int = 5
    #: From a block's submission to its start.
    queue_wait_s: float = 0.0
    #: A block that lasts shorter is charged for so long.
    least_charged_s: float = 0.0
    su_per_node_hour: float = 1.0

    def __post_init__(self) -> None:
        if min(self.nodes, self.slots_per_node, self.max_blocks) < 1 or self.walltime_s <= 0:
            raise ValueError(f"{self}: nodes, slots, blocks and walltime must be positive")

    @property
    def slots(self) -> int:
        """Of a block."""
        return self.nodes * self.slots_per_node
