"""`nunatak wait`."""

from itertools import islice

from broker.errors import Unreachable
from nunatak.cli.wait import wait_for
from nunatak.patience import back_off


def test_all_done_is_exit_0(queue, nunatak):
    queue.add("good", "a.sh")
    queue.run("good")
    said = nunatak("wait", "good")
    assert said.code == 0
    assert said.err == "good: 1 of 1 done\n"


def test_one_that_is_not_done_is_exit_1(queue, nunatak):
    queue.add("bad", "a.sh", "b.sh", retries="0")
    queue.run("bad")
    queue.fail("bad")
    assert nunatak("wait", "bad").code == 1


def test_a_cancelled_one_is_not_done(queue, nunatak):
    queue.add("cancelled", "a.sh")
    nunatak("cancel", "--campaign", "cancelled")
    assert nunatak("wait", "cancelled").code == 1


def test_an_unknown_campaign_is_wrong_use_and_not_waited_for(queue, nunatak):
    queue.add("known", "a.sh")
    assert nunatak("wait", "knwon").code == 2


class Sleeps:
    """Stands in for time.sleep: notes how long, and lets something happen at each sleep."""

    def __init__(self, *happens):
        self.happens = list(happens)
        self.waits = []

    def __call__(self, seconds):
        self.waits.append(seconds)
        self.happens.pop(0)()


def test_it_waits_until_the_last_has_ended(queue):
    queue.add("last", "a.sh", "b.sh")
    sleep = Sleeps(lambda: queue.run("last"), lambda: queue.run("last"))
    (ended,) = wait_for(["last"], queue.broker.ledger.campaigns, sleep, lambda _: None)
    assert ended.has_ended
    assert len(sleep.waits) == 2


def test_a_pause_is_told_once_with_its_remedy(queue):
    number = queue.add("told", "a.sh")
    queue.broker.scripts.pause(number, "look first")
    told = []

    def resume_and_run():
        queue.broker.scripts.pause(number, "")
        queue.run("told")

    wait_for(["told"], queue.broker.ledger.campaigns, Sleeps(lambda: None, lambda: None, resume_and_run), told.append)
    (text,) = told
    assert "told is paused: look first" in text
    assert "nunatak resume told" in text


def test_a_broker_that_goes_away_is_waited_for(queue):
    queue.add("away", "a.sh")
    queue.run("away")
    answers = [Unreachable("the broker cannot be reached"), Unreachable("the broker cannot be reached"), None]

    def look():
        error = answers.pop(0)
        if error is not None:
            raise error
        return queue.broker.ledger.campaigns()

    told = []
    (ended,) = wait_for(["away"], look, Sleeps(lambda: None, lambda: None), told.append)
    assert ended.has_ended
    assert told == ["the broker cannot be reached; still waiting"]


def test_a_forgotten_campaign_is_not_waited_for_ever(queue):
    assert wait_for(["never was"], queue.broker.ledger.campaigns, Sleeps(), lambda _: None) == []


def test_looks_become_rarer():
    waits = list(islice(back_off(), 12))
    assert waits[0] == 0.2
    assert waits == sorted(waits)
    assert waits[-1] == 5.0
