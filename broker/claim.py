"""A claim: one jobfile in the hands of one holder, as the server answered it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a holder needs to know of the jobfile it was given."""

    #: The claim's secret, made by the claimer; whoever does not have it can neither renew nor settle.
    token: str
    job_id: str
    #: How long its processes may run after the claim was sent without further word from the broker: lease less margin.
    safe_s: float
    #: The jobfile's folder, as enqueued (its real path), and its name in it.
    directory: str
    name: str
    #: The number that this start of the jobfile will have.
    attempt: int
    #: How often it was handed out, this time included.
    deliveries: int
    #: The last claim of it that its holder ended; what that one left behind is being removed.
    ended_token: str
    #: Failures counted so far.
    failures: int
    #: Jobfiles of its kind to a node; 0: as many as there are slots.
    per_node: int
    #: The campaign's options, as text; `name` is the campaign's.
    campaign: dict[str, str]

    @property
    def path(self) -> str:
        return f"{self.directory}/{self.name}"

    def to_blob(self) -> dict[str, Any]:
        """As JSON values, for the guard to keep: the next worker of the node carries on with it (LEASES rule 16)."""
        return dict(vars(self))

    @classmethod
    def from_blob(cls, blob: dict[str, Any]) -> Self:
        return cls(**blob)


def text(value: Any) -> Any:
    """Bytes from a connection that does not decode, as text; names need not be UTF-8."""
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value


def parse_claim(reply: Sequence[Any], token: str) -> Claim | None:
    """The server's answer to a claim; None if it gave nothing out."""
    if text(reply[0]) != "claimed":
        return None
    _, safe_ms, job_id, job, campaign = reply
    record = json.loads(text(job))
    return Claim(
        token=token,
        job_id=text(job_id),
        safe_s=int(safe_ms) / 1000,
        directory=record["directory_path"],
        name=record["name"],
        attempt=int(record.get("attempt", 0)) + (0 if "started_at" in record else 1),
        deliveries=int(record.get("deliveries", 0)),
        ended_token=record.get("settled_token", ""),
        failures=int(record.get("failures", 0)),
        # A suspect gets a node of its own, so that it takes no neighbours with it.
        per_node=1 if "alone" in record else int(record["lane"].split(".")[1]),
        campaign=json.loads(text(campaign)),
    )
