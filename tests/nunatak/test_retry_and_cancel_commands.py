"""`nunatak retry`, `cancel`, `pause` and `resume`."""

import pytest


def test_retry_lets_failed_jobfiles_wait_again(queue, nunatak):
    queue.add("retry", "a.sh", "b.sh", retries="0")
    queue.fail("retry")
    queue.run("retry")
    said = nunatak("retry", "--campaign", "retry", "--json")
    assert said.json == {"retried": 1, "waiting": 0, "running": 0, "done": 0, "unknown": 0}
    assert (queue.state("a.sh"), queue.state("b.sh")) == ("queued", "done")


def test_retry_of_a_campaign_leaves_what_its_user_cancelled(queue, nunatak):
    queue.add("leave", "a.sh")
    nunatak("cancel", "--campaign", "leave")
    assert nunatak("retry", "--campaign", "leave", "--json").json["retried"] == 0
    assert nunatak("retry", "--campaign", "leave", "--state", "cancelled", "--json").json["retried"] == 1


def test_retry_by_name_says_that_a_done_one_is_done(queue, nunatak):
    queue.add("isdone", "isdone.sh")
    queue.run("isdone")
    said = nunatak("retry", "isdone.sh")
    assert "--again" in said.err
    assert said.out == ""


def test_retry_in_a_paused_campaign_says_that_it_is_paused(queue, nunatak):
    number = queue.add("paused", "a.sh", retries="0")
    queue.fail("paused")
    queue.broker.scripts.pause(number, "look first")
    assert "nunatak resume paused" in nunatak("retry", str(queue.folder / "a.sh")).err


def test_cancel_ends_waiting_ones_and_asks_for_running_ones(queue, nunatak):
    queue.add("cancel", "a.sh", "b.sh", "c.sh")
    claim = queue.start("cancel")
    said = nunatak("cancel", "--campaign", "cancel", "--json")
    assert said.json == {"cancelled": 2, "asked": 1, "ended": 0, "unknown": 0}
    assert (queue.state("b.sh"), queue.state("a.sh")) == ("cancelled", "running")
    assert "asked to end" in nunatak("show", str(queue.folder / "a.sh")).out
    queue.end(claim, verdict="cancelled", reason="cancelled by its user")
    assert "1 had ended" in nunatak("cancel", str(queue.folder / "a.sh")).err


def test_cancel_of_running_ones_says_asked_to_a_person(queue, nunatak):
    queue.add("person", "a.sh")
    queue.start("person")
    assert "1 run, and their workers are asked" in nunatak("cancel", "--campaign", "person", "--state", "running").err


@pytest.mark.parametrize("command", ["retry", "cancel"])
def test_nothing_said_is_wrong_use(queue, nunatak, command):
    queue.add("nothing", "a.sh")
    said = nunatak(command)
    assert said.code == 2
    assert "--campaign NAME" in said.err


@pytest.mark.parametrize("command", ["retry", "cancel"])
def test_jobfiles_and_a_campaign_together_are_wrong_use(queue, nunatak, command):
    queue.add("both", "both.sh")
    assert nunatak(command, "both.sh", "--campaign", "both").code == 2


def test_one_unknown_jobfile_changes_nothing_at_all(queue, nunatak):
    queue.add("all", "all_1.sh")
    said = nunatak("cancel", "all_1.sh", "nosuchthing.sh")
    assert said.code == 2
    assert queue.state("all_1.sh") == "queued"


# -- pause and resume -------------------------------------------------------------------------------------------------------------------


def test_a_paused_campaign_gives_nothing_out_until_it_is_resumed(queue, nunatak):
    queue.add("halt", "a.sh")
    assert nunatak("pause", "halt", "--reason", "wrong module").err == "halt: paused\n"
    assert nunatak("pause", "halt").err == "halt: was paused already: wrong module\n"
    with pytest.raises(AssertionError):
        queue.claim("halt")
    assert nunatak("resume", "halt").err == "halt: goes on\n"
    assert nunatak("resume", "halt").err == "halt: was not paused\n"
    assert queue.claim("halt").name == "a.sh"


def test_without_a_name_all_that_have_not_ended_are_paused_and_resumed(queue, nunatak):
    queue.add("one", "one.sh")
    queue.add("two", "two.sh")
    queue.add("over", "over.sh")
    queue.run("over")
    nunatak("pause")
    paused = {c.name for c in queue.broker.ledger.campaigns() if c.paused}
    assert {"one", "two"} <= paused
    assert "over" not in paused
    assert "one: goes on" in nunatak("resume").err
    assert not any(c.paused for c in queue.broker.ledger.campaigns())
    assert nunatak("resume").err == "no campaign is paused\n"


def test_an_unknown_name_pauses_nothing(queue, nunatak):
    queue.add("stays", "a.sh")
    assert nunatak("pause", "stays", "unknown_thing").code == 2
    assert queue.broker.ledger.campaign("stays").paused is None
