"""`nunatak jobs` and `nunatak show`."""

import os
import time

JOB_KEYS = [
    "jobfile", "campaign", "state", "attempt", "failures", "deliveries", "priority", "exit_code",
    "reason", "node", "block", "queued_at", "started_at", "ended_at", "elapsed_s", "cpu_s",
    "max_rss_mb",
]  # fmt: skip


def test_a_line_of_json_has_exactly_the_keys_of_the_contract(queue, nunatak):
    queue.add("keys", "a.sh")
    (line,) = nunatak("jobs", "--campaign", "keys", "--json").lines
    assert list(line) == JOB_KEYS


def test_a_waiting_jobfile_has_no_node_and_no_time(queue, nunatak):
    queue.add("waits", "a.sh", priority=7)
    (line,) = nunatak("jobs", "--campaign", "waits", "--json").lines
    assert line["jobfile"] == f"{queue.folder}/a.sh"
    assert (line["state"], line["priority"], line["attempt"], line["node"], line["elapsed_s"]) == ("queued", 7, 0, None, None)
    assert abs(line["queued_at"] - time.time()) < 60


def test_the_time_of_a_running_jobfile_counts_up_by_the_servers_clock(queue, nunatak):
    queue.add("runs", "a.sh")
    queue.start("runs", age_s=100)
    (line,) = nunatak("jobs", "--campaign", "runs", "--json").lines
    assert line["state"] == "running"
    assert line["node"] == "c101-001"
    assert 100 <= line["elapsed_s"] < 160


def test_an_ended_jobfile_keeps_how_it_ended(queue, nunatak):
    queue.add("ends", "a.sh", "b.sh", retries="0")
    queue.run("ends", cpu_s=3.25, max_rss_mb=512.0, elapsed_s=4.5)
    queue.fail("ends", reason="exit code 9")
    done, failed = nunatak("jobs", "--campaign", "ends", "--json").lines
    assert (done["state"], done["elapsed_s"], done["cpu_s"], done["max_rss_mb"]) == ("done", 4.5, 3.25, 512.0)
    assert (failed["state"], failed["reason"], failed["failures"]) == ("failed", "exit code 9", 1)


def test_a_state_selects(queue, nunatak):
    queue.add("select", "a.sh", "b.sh")
    queue.run("select")
    assert [line["state"] for line in nunatak("jobs", "--campaign", "select", "--state", "done", "--json").lines] == ["done"]
    assert [line["state"] for line in nunatak("jobs", "--campaign", "select", "--state", "queued", "--json").lines] == ["queued"]


def test_a_name_that_is_not_utf8_keeps_its_bytes_in_json_and_does_no_harm_in_a_table(queue, nunatak):
    name = os.fsdecode(b"caf\xe9.sh")
    queue.add("latin", name)
    (line,) = nunatak("jobs", "--campaign", "latin", "--json").lines
    assert os.fsencode(line["jobfile"]).endswith(b"/caf\xe9.sh")
    assert "caf\ufffd.sh" in nunatak("jobs", "--campaign", "latin").out


def test_a_table_that_is_no_terminal_has_one_line_per_jobfile(queue, nunatak):
    queue.add("plain", "a.sh", "b.sh", retries="0")
    queue.fail("plain", reason="exit code 7")
    said = nunatak("jobs", "--campaign", "plain")
    title, first, second = said.out.splitlines()
    assert title.split() == ["STATE", "TRY", "TIME", "NODE", "EXIT", "CAMPAIGN", "JOBFILE", "REASON"]
    assert f"{queue.folder}/a.sh  exit code 7" in first
    assert second.startswith("queued")
    assert "\x1b" not in said.out


def test_an_unknown_campaign_is_wrong_use_and_names_one_that_is_close(queue, nunatak):
    queue.add("region_03", "a.sh")
    said = nunatak("jobs", "--campaign", "region_30")
    assert said.code == 2
    assert "did you mean region_03" in said.err


# -- show -------------------------------------------------------------------------------------------------------------------------------


def test_show_has_every_attempt_with_its_end(queue, nunatak):
    queue.add("tries", "a.sh", done="{stem}.tif")
    queue.fail("tries", reason="exit code 1", elapsed_s=61.0, cpu_s=50.0, max_rss_mb=2048.0)
    queue.run("tries")
    said = nunatak("show", str(queue.folder / "a.sh"), "--json").json
    assert [a["ending"] for a in said["attempts"]] == ["failed", "done"]
    assert said["attempts"][0]["elapsed_s"] == 61.0
    text = nunatak("show", str(queue.folder / "a.sh")).out
    assert "failed: exit code 1" in text
    assert "done={stem}.tif" in text
    assert "2G" in text


def test_show_says_why_a_waiting_jobfile_waits(queue, nunatak):
    number = queue.add("halted", "a.sh")
    queue.broker.scripts.pause(number, "5 jobfiles in a row failed: exit code 1")
    said = nunatak("show", str(queue.folder / "a.sh"))
    assert "paused: 5 jobfiles in a row failed: exit code 1" in said.out
    assert "nunatak resume halted" in said.out


def test_show_names_the_options_of_the_jobfiles_own_header(queue, nunatak):
    queue.add("own", "a.sh", priority=9, own=("priority",))
    assert "its own #NUNATAK line sets priority" in nunatak("show", str(queue.folder / "a.sh")).out


def test_show_names_the_log_that_is_there(queue, nunatak):
    queue.add("logs", "a.sh")
    queue.run("logs")
    (queue.folder / "a.sh.out").write_text("hello\n")
    said = nunatak("show", str(queue.folder / "a.sh"))
    assert f"{queue.folder}/a.sh.out" in said.out
    assert "a.sh.err" not in said.out
