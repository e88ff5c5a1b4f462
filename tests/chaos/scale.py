"""How long the faults of a cluster last: seconds in place of minutes, or the full times with NUNATAK_FULL_TIMES=1 (`make soak-cluster`)."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from broker.settings import LeaseSettings

FULL = bool(os.environ.get("NUNATAK_FULL_TIMES"))


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The times and sizes of a fault and of what it happens to."""

    #: The section [lease] of the settings.
    lease: Mapping[str, float]
    #: A cut that is shorter than what a renewal gives.
    short_cut_s: float
    #: A cut, at least, that is longer than a lease.
    long_cut_s: float
    #: Slurm takes a node that it has not heard of for this long for dead.
    slurmd_timeout_s: int
    #: Slurm's own from SIGTERM to SIGKILL.
    kill_wait_s: int
    #: A campaign.
    jobfiles: int
    #: How long each jobfile of a campaign runs.
    run_s: float
    #: A node that has nothing to do stays so long: longer than a lost jobfile takes to come back.
    idle_s: float
    #: For the limits of waiting: how much slower everything is.
    slower: float

    @property
    def lease_s(self) -> float:
        return self.lease["lease_s"]

    def limit_s(self, quick_s: float) -> float:
        """The limit of something that may take so long where minutes are seconds."""
        return quick_s * self.slower

    def slurm(self) -> dict[str, str]:
        """For `new_cluster(settings=…)`."""
        return {"SlurmdTimeout": str(self.slurmd_timeout_s), "KillWait": str(self.kill_wait_s)}

    def worker(self) -> dict[str, float]:
        """The section [worker] of the settings."""
        return {"idle_s": self.idle_s, "no_broker_idle_s": 2 * self.long_cut_s + self.idle_s}


#: A renewal gives 12 s and comes each 2 s: what TCP sends again after a cut of 5 s (6.2 s after the first loss) is in time.
_QUICK = Scale(
    lease={"lease_s": 15.0, "margin_s": 3.0, "renew_every_s": 2.0, "beat_every_s": 0.5, "beat_fresh_s": 3.0, "reap_every_s": 0.5},
    short_cut_s=5.0,
    long_cut_s=16.5,
    slurmd_timeout_s=10,
    kill_wait_s=5,
    jobfiles=28,
    run_s=3.0,
    idle_s=20.0,
    slower=1.0,
)
_FULL = Scale(
    lease=asdict(LeaseSettings()),
    short_cut_s=120.0,
    long_cut_s=600.0,
    slurmd_timeout_s=300,
    kill_wait_s=30,
    jobfiles=48,
    run_s=60.0,
    idle_s=600.0,
    slower=20.0,
)
SCALE = _FULL if FULL else _QUICK
