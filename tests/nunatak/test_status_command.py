"""`nunatak status`."""

import pytest
from filled_queue import Queue, call

from broker.home import Home
from broker.start import stop_broker
from nunatak.settings import Settings

KEYS = [
    "total", "queued", "running", "done", "failed", "quarantined", "cancelled", "skipped",
    "frozen", "slots", "workers", "blocks", "eta_s", "campaigns",
]  # fmt: skip


def test_json_has_exactly_the_keys_of_the_contract_and_total_is_their_sum(queue, nunatak):
    queue.add("sum", "a.sh", "b.sh", "c.sh", "d.sh", "e.sh", retries="0")
    queue.add("sum", "there.sh", outputs="present")
    queue.run("sum")
    queue.fail("sum")
    queue.start("sum", frozen=1)
    said = nunatak("status", "--json").json
    assert list(said) == KEYS
    assert said["total"] == sum(said[k] for k in ("queued", "running", "done", "failed", "quarantined", "cancelled"))
    mine = said["campaigns"]["sum"]
    assert {k: mine[k] for k in ("total", "queued", "running", "done", "failed", "skipped")} == {
        "total": 6, "queued": 2, "running": 1, "done": 2, "failed": 1, "skipped": 1
    }  # fmt: skip
    assert (said["workers"], said["slots"], said["frozen"]) == (1, 4, 1)


def test_what_was_found_done_is_counted_as_skipped(queue, nunatak):
    queue.add("there", "a.sh", "b.sh")
    claim = queue.claim("there")
    queue.end(claim, verdict="skipped", reason="outputs were there", exit_code=None, elapsed_s=None)
    mine = nunatak("status", "--json").json["campaigns"]["there"]
    assert (mine["done"], mine["skipped"]) == (1, 1)
    assert "1 of 2 done (1 found done), 1 waiting" in nunatak("status").out


def test_eta_is_a_range_once_something_has_ended(queue, nunatak):
    queue.add("eta", *(f"{i}.sh" for i in range(9)))
    for _ in range(3):
        queue.run("eta", elapsed_s=600.0)
    queue.start("eta")
    low, high = nunatak("status", "--json").json["eta_s"]
    assert 0 < low <= high < 9 * 600
    assert " left" in nunatak("status").out


def test_a_paused_campaign_shows_its_reason_and_the_remedy(queue, nunatak):
    queue.add("burns", *(f"{i}.sh" for i in range(9)), retries="0")
    for _ in range(5):
        queue.fail("burns", reason="exit code 127")
    said = nunatak("status").out
    assert "paused: 5 jobfiles in a row failed: exit code 127" in said
    assert "nunatak resume burns" in said
    assert "burns: 5 failed: exit code 127; see nunatak log " in said


def test_it_fits_80_columns_without_a_terminal_too(queue, nunatak):
    queue.add("wide", "a.sh")
    said = nunatak("status")
    assert said.code == 0
    assert "\x1b" not in said.out
    assert "━" not in said.out


# -- where there is no broker, or a restarted one ---------------------------------------------------------------------------------------


def test_an_empty_home_has_nothing_to_show_and_nothing_is_started(tmp_path):
    said = call(tmp_path / "new", "status", "--json")
    assert said.code == 0
    assert list(said.json) == KEYS
    assert (said.json["total"], said.json["eta_s"], said.json["campaigns"]) == (0, None, {})
    assert "enqueue-jobfiles DIR" in said.err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("words", [("jobs",), ("workers",), ("campaigns",), ("wait",), ("show", "x.sh"), ("retry", "x.sh"), ("pause",)])
def test_other_commands_on_an_empty_home_cannot_reach_a_broker_and_say_what_to_do(tmp_path, words):
    said = call(tmp_path / "new", *words)
    assert said.code == 3
    assert "enqueue-jobfiles DIR" in said.err


@pytest.fixture
def own_home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("own") / "nunatak")
    yield home
    stop_broker(home, force=True)


def test_a_dead_broker_is_started_again_and_the_wait_for_silent_workers_is_explained(own_home, tmp_path):
    queue = Queue(Settings(home=own_home), tmp_path)
    queue.add("held", "a.sh", "b.sh")
    queue.start("held", age_s=500.0)
    queue.broker.client.close()
    stop_broker(own_home, force=True)
    said = call(own_home.root, "status")
    assert said.code == 0
    assert "0 of 2 done, 1 running, 1 waiting" in said.out
    assert "nothing is taken back from silent workers before" in said.out
    assert "1 running jobfiles" in said.out


def test_a_fresh_brokers_grace_is_no_news(own_home, tmp_path):
    queue = Queue(Settings(home=own_home), tmp_path)
    queue.add("fresh", "a.sh")
    queue.start("fresh", age_s=0.0)
    assert "taken back" not in call(own_home.root, "status").out
    queue.broker.client.close()
