"""The schedules are worth something: each rule of the protocol that is left out breaks the promise within a bounded number of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from schedule_rules import Rules
from schedule_run import Stage, first_violation, stage


@pytest.fixture(scope="module")
def schedule_stage() -> Iterator[Stage]:
    with stage() as made:
        yield made


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """One rule that does not hold, the theme of the schedules that show it, and how many may be needed."""

    name: str
    rules: Rules
    theme: str
    most: int = 60


LEFT_OUT = (
    LeftOut(name="no_gate", rules=Rules(gate=False), theme="moves"),
    LeftOut(name="no_anchor", rules=Rules(anchor=False), theme="late_beats"),
    LeftOut(name="deadline_from_the_answer", rules=Rules(absolute=False), theme="stops"),
    LeftOut(name="no_proof_by_writing", rules=Rules(proof=False), theme="stale"),
    LeftOut(name="fsync_everysec", rules=Rules(always=False), theme="crashes"),
    LeftOut(name="no_grace_after_a_gap", rules=Rules(grace=False), theme="silence"),
    LeftOut(name="no_patience_before_running_on", rules=Rules(patience=False), theme="silence"),
    LeftOut(name="an_older_epoch_is_not_stopped", rules=Rules(superseded=False), theme="moves"),
)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("left_out", LEFT_OUT, ids=lambda left_out: left_out.name)
def test_schedules_find_what_is_left_out(left_out: LeftOut, schedule_stage: Stage) -> None:
    violation = first_violation(schedule_stage, left_out.theme, range(left_out.most), left_out.rules)
    assert violation is not None, f"{left_out.name}: nothing found in {left_out.most} schedules of theme {left_out.theme}"
    print(violation.splitlines()[0])
