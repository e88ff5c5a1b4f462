"""What fails, and is no node's fault (docs/leases.md, "Bad nodes")."""

import pytest
from node_steps import bad, end_on, fail_on, failures, names, refusal
from verb_bench import EVERYTHING, Bench

from broker.lease import Holder, new_token


def test_the_only_node_there_is_is_never_bad(bench: Bench) -> None:
    bench.enqueue(*names(40))
    end_on(bench, "only", 5)
    fail_on(bench, "only", 10)
    assert bad(bench) == []
    assert refusal(bench, "only") == "claimed"


def test_an_earlier_block_on_the_same_node_is_nothing_elsewhere(bench: Bench) -> None:
    bench.enqueue(*names(20))
    end_on(bench, "only", 5)
    later = Holder(worker="later", node="node-of-only", block="b2")
    for _ in range(4):
        claim = bench.leases.claim(new_token(), later, EVERYTHING)
        assert claim is not None
        bench.fail(claim)
    assert bad(bench) == []


def test_a_node_is_bad_in_one_block_and_starts_afresh_in_the_next(bench: Bench) -> None:
    bench.enqueue(*names(20))
    end_on(bench, "good", 3)
    fail_on(bench, "broken", 3)
    assert (refusal(bench, "broken"), refusal(bench, "broken", "b2")) == ("bad", "claimed")


def test_the_retries_of_one_jobfile_make_no_node_bad(bench: Bench) -> None:
    bench.campaign("c", retries="30")
    bench.enqueue(*names(4))
    end_on(bench, "good", 3)
    for _ in range(10):
        fail_on(bench, "w1", 1)
    assert bad(bench) == []


def test_jobfiles_that_fail_wherever_they_run_make_no_node_bad(bench: Bench) -> None:
    bench.campaign("c", retries="30")
    bench.enqueue(*names(6))
    end_on(bench, "good", 3)
    for i in range(12):
        fail_on(bench, f"w{i % 4}", 2)
    assert bad(bench) == []


def test_a_success_in_between_clears_a_node(bench: Bench) -> None:
    bench.enqueue(*names(20))
    end_on(bench, "good", 3)
    for _ in range(3):
        fail_on(bench, "w1", 2)
        end_on(bench, "w1", 1)
    assert bad(bench) == []


def test_a_long_run_that_was_found_done_before_its_start_clears_nobody(bench: Bench) -> None:
    bench.enqueue(*names(20))
    end_on(bench, "good", 3)
    fail_on(bench, "w1", 2)
    bench.settle(bench.claim("w1"), "skipped", elapsed_s=None)
    fail_on(bench, "w1", 1)
    assert bad(bench) == ["w1"]


@pytest.mark.parametrize("how", [{"elapsed_s": 60.0, "counts_as_failure": True}, {"elapsed_s": 1.0, "counts_as_failure": False}])
def test_failures_that_took_a_minute_or_do_not_count_make_no_node_bad(bench: Bench, how: dict[str, object]) -> None:
    bench.enqueue(*names(20))
    end_on(bench, "good", 3)
    for _ in range(4):
        bench.settle(bench.claim("w1"), "failed", "exit 1", retry=True, **how)
    assert bad(bench) == []


def test_a_failure_that_as_many_other_nodes_have_is_not_one_nodes(bench: Bench) -> None:
    bench.enqueue(*names(40))
    end_on(bench, "w1", 3)
    fail_on(bench, "w1", 1)
    fail_on(bench, "w2", 3)
    assert bad(bench) == []


def test_another_failure_elsewhere_is_another_matter(bench: Bench) -> None:
    bench.enqueue(*names(40))
    end_on(bench, "w1", 3)
    fail_on(bench, "w1", 1, "exit 2")
    fail_on(bench, "w2", 3, "exit 127")
    assert bad(bench) == ["w2"]


def test_two_bad_nodes_of_five_are_both_found(bench: Bench) -> None:
    bench.enqueue(*names(40))
    fail_on(bench, "broken1", 2)
    fail_on(bench, "broken2", 2)
    for i in range(3):
        end_on(bench, f"good{i}", 1)
    fail_on(bench, "broken1", 1)
    assert bad(bench) == ["broken1"]
    unlucky = fail_on(bench, "broken2", 4)
    assert sorted(bad(bench)) == ["broken1", "broken2"]
    assert failures(bench, unlucky) == [0] * 4, "those of the first one's were tried on the second"


def test_a_run_of_bad_jobfiles_costs_one_node_at_most_and_that_one_for_a_while(bench: Bench) -> None:
    bench.campaign("c", retries="1")
    bench.enqueue(*names(40))
    for i in range(6):
        end_on(bench, f"good{i}", 1)
    rotten = fail_on(bench, "w1", 3)
    assert bad(bench) == ["w1"]
    assert fail_on(bench, "good1", 3) == sorted(rotten, reverse=True), "they are tried elsewhere first of all"
    assert bad(bench) == [], "they fail wherever they run"
    assert bench.events("node_forgiven")[0]["reason"] == "its jobfiles fail on other nodes too"
    for i in range(1, 6):
        fail_on(bench, f"good{i}", 4)
        assert bad(bench) == [], "now it is known to be the campaign's own"


def test_one_odd_jobfile_does_not_hide_a_bad_node(bench: Bench) -> None:
    bench.enqueue("odd.sh", *names(20))
    fail_on(bench, "w1", 1)
    end_on(bench, "good", 20)
    bench.enqueue(*names(20, 50))
    assert fail_on(bench, "good", 1) == ["odd.sh"]
    fail_on(bench, "broken", 3)
    assert bad(bench) == ["broken"]
