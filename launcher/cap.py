"""How many blocks there may be, for the ledger to check in the moment of the intent: two launchers at once never exceed it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cap:
    """What one submission was decided by."""

    #: Live blocks of the site when it was decided.
    seen: int
    #: Live blocks of the site that there may be, this one included; None: any number.
    max_live: int | None
    #: Submissions to the site in one hour.
    per_hour: int
