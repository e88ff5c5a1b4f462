"""No schedule of outages, deaths and delays has two copies of a jobfile run, loses one, or forgets how one ended.

`NUNATAK_SOAK=MINUTES` runs schedules for so long, from a seed of its own. A failure tells its theme and seed;
schedule_run.py shows that schedule again.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from schedule_faults import THEMES
from schedule_rules import Rules
from schedule_run import Stage, run, stage
from schedule_world import Violation

#: `make test`: as many as an idle machine does in this time.
_QUICK_S = 50.0
SOAK_MIN = float(os.environ.get("NUNATAK_SOAK") or 0)


@pytest.fixture(scope="module")
def schedule_stage() -> Iterator[Stage]:
    with stage() as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(SOAK_MIN * 60 + 300)
def test_no_schedule_has_two_copies_run_or_loses_a_jobfile(schedule_stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    first = random.SystemRandom().randrange(10**9) if SOAK_MIN else 0
    end, counts, number = time.monotonic() + (SOAK_MIN * 60 or _QUICK_S), Counter[str](), 0
    themes = ["all", *sorted(THEMES)]
    while time.monotonic() < end:
        theme, seed = themes[number % len(themes)], first + number
        told: list[str] = []
        try:
            counts += run(schedule_stage, theme, seed, Rules(), told)
        except Violation as violation:
            pytest.fail("\n".join([f"theme {theme} seed {seed}: {violation}", *told]), pytrace=False)
        number += 1
    with capsys.disabled():
        print(f" [{number} schedules from seed {first}, {dict(counts)}]", end="")
    # The faults must not have kept everything from happening.
    assert all(counts[what] > 0 for what in ("claimed", "ended", "frozen", "server restarted", "server moved"))


def test_a_seed_gives_the_same_schedule_each_time(schedule_stage: Stage) -> None:
    first: list[str] = []
    again: list[str] = []
    run(schedule_stage, "all", 7, Rules(), first)
    run(schedule_stage, "all", 7, Rules(), again)
    assert first == again
