"""`nunatak set`: new options, also for what already waits."""

import pytest

from nunatak.campaign_options import BadOption, parse_options
from nunatak.relaning import LaneChange, lane_after


def test_options_are_kept_and_read_by_workers(queue, nunatak):
    queue.add("kept", "a.sh", retries="3")
    assert nunatak("set", "kept", "retries=5", "time=11h", "mem=90G", "done={stem}.tif").code == 0
    claim = queue.claim("kept")
    assert {k: claim.campaign[k] for k in ("retries", "time_s", "mem_mb", "done")} == {
        "retries": "5", "time_s": "39600", "mem_mb": "92160", "done": "{stem}.tif"
    }  # fmt: skip


def test_a_new_priority_moves_what_waits_but_not_what_decides_for_itself(queue, nunatak):
    queue.add("lanes", "a.sh", "b.sh")
    number = queue.add("lanes", "own.sh", priority=1, own=("priority",))
    said = nunatak("set", "lanes", "priority=9")
    assert "2 waiting jobfiles go by it" in said.err
    assert queue.lane("a.sh") == f"9.0.0.{number}"
    assert queue.lane("own.sh") == f"1.0.0.{number}"
    assert [queue.claim("lanes").name for _ in range(3)] == ["a.sh", "b.sh", "own.sh"]


def test_a_new_share_holds_for_what_waits_and_keeps_its_estimate(queue, nunatak):
    number = queue.add("share", "a.sh", time_s="3600")
    nunatak("set", "share", "per_node=2")
    assert queue.lane("a.sh") == f"5.2.3600.{number}"
    assert queue.claim("share").per_node == 2


def test_a_default_again_is_the_default(queue, nunatak):
    number = queue.add("default", "a.sh", priority=8, per_node="2", max_fails="7")
    nunatak("set", "default", "priority=", "per_node=", "max_fails=")
    assert queue.lane("a.sh") == f"5.0.0.{number}"
    assert not {"priority", "per_node", "max_fails"} & set(queue.broker.ledger.campaign("default").options)


def test_a_failed_jobfile_waits_in_the_new_lane_when_it_is_retried(queue, nunatak):
    number = queue.add("again", "a.sh", retries="0")
    queue.fail("again")
    nunatak("set", "again", "priority=9")
    nunatak("retry", str(queue.folder / "a.sh"))
    assert queue.lane("a.sh") == f"9.0.0.{number}"


def test_setting_it_twice_finishes_what_an_interrupted_one_left(queue, nunatak):
    number = queue.add("twice", "a.sh")
    queue.broker.scripts.campaign("twice", {"priority": "9"})
    said = nunatak("set", "twice", "priority=9")
    assert "nothing changes" in said.err
    assert queue.lane("a.sh") == f"9.0.0.{number}"


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("retires=5", "did you mean retries?"),
        ("xyzzy=5", "the options are done, per_node"),
        ("retries", "NAME=VALUE"),
        ("priority=12", "0 to 9"),
        ("time=11", "11h"),
        ("done={stem", "write {{ or }}"),
        ("done=", "done=exit-code"),
    ],
)
def test_a_wrong_option_is_refused_with_the_remedy_and_changes_nothing(queue, nunatak, word, remedy):
    queue.add("wrong", "a.sh")
    before = queue.broker.ledger.campaign("wrong").options
    said = nunatak("set", "wrong", "retries=9", word)
    assert said.code == 2
    assert remedy in said.err
    assert queue.broker.ledger.campaign("wrong").options == before


def test_a_done_rule_that_fits_no_waiting_jobfile_is_refused(queue, nunatak):
    queue.add("unfit", "a.sh")
    said = nunatak("set", "unfit", "done=setsm-scene")
    assert said.code == 2
    assert "which has no such part" in said.err
    assert "done" not in queue.broker.ledger.campaign("unfit").options


def test_an_unknown_campaign_is_refused(queue, nunatak):
    queue.add("region_07", "a.sh")
    said = nunatak("set", "regoin_07", "retries=1")
    assert said.code == 2
    assert "did you mean region_07" in said.err


# -- pure -------------------------------------------------------------------------------------------------------------------------------


def test_a_hyphen_does_as_well_as_an_underscore():
    assert parse_options(["per-node=2", "max-fails=3"]) == {"per_node": "2", "max_fails": "3"}


def test_the_error_names_the_option():
    with pytest.raises(BadOption, match=r"^priority: "):
        parse_options(["priority=ten"])


@pytest.mark.parametrize(
    ("own", "lane"),
    [
        ((), "9.2.7200.3"),
        (("priority",), "1.2.7200.3"),
        (("per_node", "time"), "9.4.900.3"),
        (("priority", "per_node", "time"), "1.4.900.3"),
    ],
)
def test_a_header_stands_above_the_campaign(own, lane):
    assert lane_after("1.4.900.3", own, LaneChange(priority=9, per_node=2, estimate_s=7000.0)) == lane


def test_what_is_not_changed_stays():
    assert lane_after("1.4.900.3", (), LaneChange()) == "1.4.900.3"
