"""What blocks cost, and what a budget allows."""

import pytest
from site_blocks import HOUR, NOW, block, site

from launcher.block import BlockState
from launcher.cost import affordable, format_su, su_committed, su_max


def test_a_submission_costs_nodes_times_walltime_times_rate():
    assert su_max(site(su_per_node_hour=1.5), 3) == 3 * 4 * 24 * 1.5
    assert su_max(site(walltime=""), 3) is None
    assert su_max(site(walltime="", su_per_node_hour=0), 3) == 0
    # Fifteen minutes are charged in any case.
    assert su_max(site(walltime="00:05:00", least_charged_min=15), 1) == 1.0


def test_what_is_over_costs_what_it_took_and_what_lives_may_cost_all():
    over = block(1, BlockState.ENDED, started_at=NOW - 3 * HOUR, ended_at=NOW - HOUR)
    refused = block(2, BlockState.FAILED, started_at=None, job_id="")
    live = block(3)
    assert su_committed([over], NOW) == 4 * 2
    assert su_committed([over, refused, live], NOW) == 4 * 2 + 4 * 24
    assert su_committed([live, block(4, walltime_s=None)], NOW) is None


@pytest.mark.parametrize(
    ("budget", "blocks", "more"),
    [
        (None, [block()], None),
        (500.0, [], 5),
        (500.0, [block()], 4),
        (500.0, [block(), block(2), block(3, BlockState.ENDED, started_at=NOW - 2 * HOUR, ended_at=NOW - HOUR)], 3),
        (95.9, [], 0),
        (96.0, [], 1),
        (10.0, [block()], 0),
        # Nobody can say what the block costs that is there already.
        (500.0, [block(walltime_s=None)], 0),
    ],
)
def test_a_budget_allows_blocks_at_their_highest_price(budget, blocks, more):
    assert affordable(site(), blocks, budget, NOW) == more


def test_a_site_that_costs_nothing_is_never_too_dear_and_one_without_an_end_always():
    assert affordable(site(su_per_node_hour=0), [], 1.0, NOW) is None
    assert affordable(site(walltime=""), [], 1e9, NOW) == 0


@pytest.mark.parametrize(("su", "text"), [(1250.4, "1,250 SU"), (0.333, "0.33 SU"), (0, "0 SU"), (None, "an unknown number of SU")])
def test_su_for_people(su, text):
    assert format_su(su) == text
