"""What a simulated campaign came to: charged, useful, and where the rest went."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Account:
    """All in node-hours; a slot's hour is its part of a node's."""

    charged: float
    #: Work of attempts that ended well.
    useful: float
    #: Work that the walltime cut off: it is redone.
    cut: float
    #: Charged because a block lasted shorter than the least charge.
    least_charge: float
    #: From the first submission to the last jobfile's end.
    hours: float
    su: float
    blocks: int
    interruptions: int
    done: int
    #: Jobfiles that could end in no block.
    left: int

    @property
    def idle(self) -> float:
        """Slots without a jobfile."""
        return self.charged - self.useful - self.cut - self.least_charge

    @property
    def yielded(self) -> float:
        """Useful part of what was charged."""
        return self.useful / self.charged if self.charged else 0.0
