"""A worker's settings, handed over by the roof as JSON on its command line (no secret is among them)."""

import json
from dataclasses import asdict, dataclass, field
from typing import Self, TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """What one worker on one node needs to know."""

    #: The broker's home (see broker/home.py).
    home: str
    block: str
    #: The node's name, as the ledger shows it.
    node: str
    site: str = "local"
    #: Jobfiles at a time (`max_workers` of the site).
    slots: int = 1
    #: Numbers of the campaigns that the block was submitted for; empty: all.
    campaigns: tuple[str, ...] = ()
    #: Unix seconds when the block ends; None: it does not.
    deadline_unix: float | None = None
    #: A node that has run nothing for this long leaves.
    idle_s: float = 300.0
    #: Unix seconds until which the node is paid for in any case, and stays however idle it is; None: there is no such time.
    stay_until_unix: float | None = None
    #: A node with nothing running and no broker for this long leaves.
    no_broker_idle_s: float = 1800.0
    #: Environment of jobfiles that the guard is not told by its own: additions by name.
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise ValueError(f"slots={self.slots}: use 1 or more")

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return from_json(cls, text)


def from_json(kind: type[_T], text: str | bytes) -> _T:
    """A dataclass of settings from what `json.dumps(asdict(…))` made of it: its lists were tuples.

    Raises ValueError for what is no JSON or has wrong values, TypeError for other fields than the dataclass has.
    """
    fields = json.loads(text)
    if not isinstance(fields, dict):
        raise ValueError(f"no JSON object: {str(fields)[:40]!r}")
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})
