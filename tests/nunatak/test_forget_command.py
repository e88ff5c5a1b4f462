"""`nunatak forget`."""

import json
from pathlib import Path

from nunatak.export import export_file


def test_the_history_is_written_before_the_records_go(queue, nunatak, settings):
    queue.add("old", "a.sh", "b.sh")
    queue.fail("old", reason="exit code 3", elapsed_s=2.0)
    queue.run("old")
    queue.run("old")
    said = nunatak("forget", "old")
    assert said.code == 0
    path = Path(said.out.strip())
    assert path.parent == settings.home.root / "exports"
    assert path.parent.stat().st_mode & 0o077 == 0
    lines = {Path(line["jobfile"]).name: line for line in map(json.loads, path.read_text().splitlines())}
    assert sorted(lines) == ["a.sh", "b.sh"]
    assert [a["ending"] for a in lines["a.sh"]["attempts"]] == ["failed", "done"]
    assert lines["a.sh"]["attempts"][0]["reason"] == "exit code 3"
    assert queue.broker.ledger.campaign("old") is None
    assert nunatak("jobs", "--campaign", "old").code == 2
    assert not list(path.parent.glob("*.part"))


def test_what_has_not_ended_is_not_forgotten(queue, nunatak, settings):
    queue.add("active", "a.sh", "b.sh")
    queue.start("active")
    said = nunatak("forget", "active")
    assert said.code == 2
    assert "1 jobfiles wait, 1 run" in said.err
    assert "nunatak cancel --campaign active" in said.err
    assert not list(settings.home.root.glob("exports/active*"))
    assert queue.broker.ledger.campaign("active") is not None


def test_a_file_that_exists_is_not_overwritten(queue, nunatak, tmp_path):
    queue.add("keep", "a.sh")
    queue.run("keep")
    (tmp_path / "x.jsonl").write_text("mine")
    said = nunatak("forget", "keep", "-o", str(tmp_path / "x.jsonl"))
    assert said.code == 2
    assert (tmp_path / "x.jsonl").read_text() == "mine"
    assert queue.broker.ledger.campaign("keep") is not None
    assert nunatak("forget", "keep", "-o", str(tmp_path / "y.jsonl")).code == 0
    assert (tmp_path / "y.jsonl").read_text().count("\n") == 1


def test_an_unknown_campaign_is_wrong_use(queue, nunatak):
    queue.add("region_05", "a.sh")
    said = nunatak("forget", "region_50")
    assert said.code == 2
    assert "region_05" in said.err


def test_any_name_of_a_campaign_makes_a_file_in_the_folder():
    folder = Path("/x")
    assert export_file(folder, "../../etc/pass wd", 0.0).parent == folder
    assert export_file(folder, "..", 0.0).name.startswith("campaign-")
