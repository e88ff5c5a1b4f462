"""What the test job's node saw, as a file between the node and the doctor."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from broker.private import write_private
from nunatak.doctor.clock import Skew, judge_clock
from nunatak.doctor.finding import Finding, bad, ok, warning

_PREFIX = "report-"
_SLOW_S = 1.0


@dataclass(frozen=True, kw_only=True)
class NodeReport:
    """One node's word."""

    node: str
    #: Python's version there.
    python: str
    #: Processors that the job may use.
    cpus: int
    #: Folders that were asked about -> whether they are there.
    seen: Mapping[str, bool]
    #: The address at which the broker answered; empty: at none.
    endpoint: str
    #: Why the broker did not answer; empty: it did, or there is no home to look in.
    trouble: str
    #: Seconds that one question to the broker took.
    round_trip_s: float
    #: How far the node's clock is ahead of the server's; None: not known.
    ahead_s: float | None

    def write(self, folder: Path) -> None:
        """Raises OSError."""
        write_private(folder / f"{_PREFIX}{self.node}.json", json.dumps(asdict(self)) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The first node's report; None: there is none yet. Raises OSError, ValueError."""
        found = sorted(folder.glob(f"{_PREFIX}*.json"))
        return cls(**json.loads(found[0].read_bytes())) if found else None


def judge_node(report: NodeReport, cores_per_node: int | None) -> Iterator[Finding]:
    """What the report says of the way to the broker, of the clocks and of the node."""
    if report.endpoint:
        text = f"node {report.node} reaches the broker at {report.endpoint} in {report.round_trip_s * 1000:.1f} ms"
        if report.round_trip_s < _SLOW_S:
            yield ok("reach", text)
        else:
            yield warning("reach", text, "ask the site about its network; leases bear it")
    else:
        yield bad(
            "reach", f"node {report.node}: {report.trouble}",
            "nunatak broker start --bind all, and the job again; if it fails too: nunatak broker submit -f SITE (nodes reach each other)",
        )
    if report.ahead_s is not None:
        yield judge_clock(Skew(whose=f"node {report.node}", of="the server", ahead_s=report.ahead_s, within_s=report.round_trip_s / 2))
    yield _judge_cpus(report, cores_per_node)


def _judge_cpus(report: NodeReport, wanted: int | None) -> Finding:
    text = f"{report.node}: Python {report.python}, {report.cpus} processors"
    if wanted is not None and report.cpus < wanted:
        return bad(
            "node", f"{text}, and the site says cores_per_node = {wanted}",
            "correct cores_per_node in the site file, or remove what binds jobs to fewer processors",
        )
    return ok("node", text)
