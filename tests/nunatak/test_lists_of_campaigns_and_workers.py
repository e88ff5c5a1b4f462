"""`nunatak campaigns` and `nunatak workers`."""

WORKER_KEYS = ["worker", "node", "block", "site", "pid", "guard_pid", "slots", "running", "frozen", "state", "last_contact_s"]


def test_a_worker_has_exactly_the_keys_of_the_contract(queue, nunatak):
    queue.add("work", "a.sh")
    queue.start("work", worker="w7", slots=8, pid=4711)
    (line,) = [w for w in nunatak("workers", "--json").lines if w["worker"] == "w7"]
    assert list(line) == WORKER_KEYS
    assert (line["pid"], line["slots"], line["running"], line["state"]) == (4711, 8, 1, "running")
    assert 0 <= line["last_contact_s"] < 60


def test_workers_are_listed_with_when_they_were_heard_of(queue, nunatak):
    queue.add("heard", "a.sh")
    queue.start("heard", worker="w8")
    title, *rows = nunatak("workers").out.splitlines()
    assert title.split()[:4] == ["WORKER", "NODE", "BLOCK", "SLOTS"]
    assert any(row.startswith("w8") and row.endswith("ago") for row in rows)


def test_no_campaign_and_no_worker_print_no_data(queue, nunatak):
    assert queue.broker.client.ping()
    queue.broker.scripts.leave("w7")
    queue.broker.scripts.leave("w8")
    said = nunatak("workers")
    assert (said.out, said.err) == ("", "no worker is running\n")


def test_a_campaign_has_its_counts_and_its_options(queue, nunatak):
    queue.add("listed", "a.sh", "b.sh", per_node="2", done="{stem}.tif")
    queue.run("listed")
    (line,) = [c for c in nunatak("campaigns", "--json").lines if c["campaign"] == "listed"]
    assert (line["total"], line["done"], line["queued"], line["paused"]) == (2, 1, 1, None)
    assert line["options"] == {"done": "{stem}.tif", "per_node": "2"}
    (row,) = [row for row in nunatak("campaigns").out.splitlines() if row.startswith("listed")]
    assert row.split() == ["listed", "2", "1", "0", "1", "0", "done={stem}.tif", "per_node=2"]


def test_a_paused_campaign_is_marked(queue, nunatak):
    number = queue.add("held", "a.sh")
    queue.broker.scripts.pause(number, "wait")
    assert any(row.startswith("held") and "paused" in row for row in nunatak("campaigns").out.splitlines())
