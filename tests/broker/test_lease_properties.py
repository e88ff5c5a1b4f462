"""The lease verbs keep their promises under any order of calls, lost answers, stepped clocks and a killed server.

`NUNATAK_SOAK=1` runs many more and longer schedules, and shortens one that fails, which takes minutes. A failure prints what to paste
to see it again.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from lease_machine import LeaseMachine
from lease_server import LeaseServer

settings.register_profile("lease-quick", max_examples=160, stateful_step_count=50, phases=(Phase.reuse, Phase.generate))
settings.register_profile("lease-soak", max_examples=5000, stateful_step_count=120)
PROFILE = settings.get_profile("lease-soak" if os.environ.get("NUNATAK_SOAK") else "lease-quick")


@pytest.mark.slow
@pytest.mark.timeout(3600 if os.environ.get("NUNATAK_SOAK") else 120)
def test_every_jobfile_is_in_exactly_one_place_whatever_happens(shared_lease_server: LeaseServer) -> None:
    run_state_machine_as_test(
        lambda: LeaseMachine(shared_lease_server),  # type: ignore[arg-type]
        settings=settings(PROFILE, deadline=None, derandomize=False, print_blob=True, suppress_health_check=list(HealthCheck)),
    )
