"""`nunatak enqueue` and `enqueue-jobfiles`: what becomes of a directory, in counts, words and JSON."""

import json
import os
from pathlib import Path

import pytest
from filled_queue import Command, Queue, call

from broker.address import read_address
from broker.home import Home
from nunatak.marker import check_marker, read_marker, write_marker

GOOD = "#!/bin/bash\necho ok\n"


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Where the test's jobfiles are; its campaign has the test's own name."""
    made = tmp_path / f"c{abs(hash(request.node.name)) % 10**8}" / "jobfiles" / "2m"
    made.mkdir(parents=True)
    return made


def fill(folder: Path, *names: str, text: str = GOOD) -> None:
    for name in names:
        (folder / f"qsub_{name}.sh").write_text(text)


def outputs(folder: Path, name: str) -> None:
    """What `setsm-scene` looks for."""
    results = folder.parent.parent / "tif_results" / folder.name / f"{name[:47]}_{folder.name}"
    results.mkdir(parents=True, exist_ok=True)
    for product in ("dem_smooth.tif", "matchtag.tif", "ortho.tif", "meta.txt"):
        (results / f"{name}_{product}").write_text("x")


def counts(said: str) -> str:
    return said.splitlines()[0].split(": ", 1)[1]


def test_run_twice_it_enqueues_nothing_twice(nunatak: Command, folder: Path):
    fill(folder, "A", "B")
    assert counts(nunatak("enqueue", str(folder)).out).startswith("2 enqueued, 0 already queued, 0 already done, 0 failed before")
    again = nunatak("enqueue", str(folder))
    assert again.code == 0
    assert counts(again.out).startswith("0 enqueued, 2 already queued")
    fill(folder, "C")
    assert counts(nunatak("enqueue", str(folder)).out).startswith("1 enqueued, 2 already queued")


def test_outputs_that_are_there_are_not_made_again_and_what_is_gone_is(nunatak: Command, folder: Path):
    fill(folder, "A", "B")
    outputs(folder, "A")
    said = nunatak("enqueue", str(folder))
    assert counts(said.out).startswith("1 enqueued, 0 already queued, 1 already done")
    assert "done rule: setsm-scene" in said.out
    next(folder.parent.parent.rglob("A_meta.txt")).unlink()
    assert counts(nunatak("enqueue", str(folder)).out).startswith("1 enqueued, 1 already queued, 0 already done")


def test_bad_jobfiles_are_named_and_the_good_ones_enqueued(nunatak: Command, folder: Path):
    fill(folder, "A")
    fill(folder, "crlf", text="#!/bin/bash\r\necho ok\r\n")
    fill(folder, "option", text="#!/bin/bash\n#NUNATAK walltme=11h\necho ok\n")
    said = nunatak("enqueue", str(folder))
    assert said.code == 1
    assert counts(said.out).endswith("2 rejected")
    assert f"rejected: {folder}/qsub_crlf.sh:1: has Windows line ends (CR LF); try: sed" in said.err
    assert f"rejected: {folder}/qsub_option.sh:2: unknown option 'walltme'; did you mean time?" in said.err


def test_nothing_good_is_bad_input_and_makes_no_campaign(nunatak: Command, queue: Queue, folder: Path):
    fill(folder, "crlf", text="#!/bin/bash\r\necho ok\r\n")
    assert nunatak("enqueue", str(folder), "--campaign", "nothing-good").code == 2
    assert queue.broker.ledger.campaign("nothing-good") is None


def test_a_pattern_that_finds_nothing_says_how_many_scripts_are_there(nunatak: Command, folder: Path):
    (folder / "a.sh").write_text(GOOD)
    said = nunatak("enqueue", str(folder))
    assert said.code == 2
    assert "1 *.sh here, use --pattern" in said.err
    assert counts(nunatak("enqueue", str(folder), "--pattern", "*.sh").out).startswith("1 enqueued")


def test_json_has_the_keys_of_the_contract(nunatak: Command, folder: Path):
    fill(folder, "A")
    fill(folder, "bad", text="")
    said = nunatak("enqueue", str(folder), "--json", "--campaign", "as-json")
    assert said.code == 1
    assert said.err == ""
    rejected = said.json["rejected"]
    assert said.json | {"rejected": [], "warnings": []} == {
        "campaign": "as-json", "directory": str(folder), "enqueued": 1, "already_queued": 0, "already_done": 0, "failed_before": 0,
        "changed": 0, "rejected": [], "warnings": [], "done_rule": "setsm-scene", "dry_run": False,
    }  # fmt: skip
    assert set(rejected[0]) == {"jobfile", "line", "reason", "remedy"}


def test_a_dry_run_changes_nothing_and_shows_what_is_expected(nunatak: Command, queue: Queue, folder: Path):
    fill(folder, "A", "B", "C", "D")
    outputs(folder, "B")
    said = nunatak("enqueue", str(folder), "--campaign", "dry", "--dry-run")
    assert counts(said.out).startswith("dry run, nothing is changed: 3 enqueued, 0 already queued, 1 already done")
    assert said.out.count("is done when") == 3
    assert f"  there is     {folder.parent.parent}/tif_results/2m/A_2m/A_meta.txt" in said.out
    assert f"  there is no  {folder.parent.parent}/tif_results/2m/A_2m/A\n" in said.out
    assert queue.broker.ledger.campaign("dry") is None
    assert not (folder / ".nunatak").exists()
    nunatak("enqueue", str(folder), "--campaign", "dry")
    assert "changed: 0 enqueued, 3 already queued" in nunatak("enqueue", str(folder), "--campaign", "dry", "--dry-run").out


def test_a_dry_run_starts_no_broker(tmp_path: Path, folder: Path):
    fill(folder, "A")
    said = call(tmp_path / "home", "enqueue", str(folder), "--dry-run")
    assert said.code == 0
    assert "no broker runs" in said.err
    assert not (tmp_path / "home").exists()


def test_a_wrong_directory_starts_no_broker(tmp_path: Path):
    assert call(tmp_path / "home", "enqueue", str(tmp_path / "nothing")).code == 2
    assert read_address(Home(tmp_path / "home")) is None


def test_changed_options_change_what_waits_and_it_says_so(nunatak: Command, queue: Queue, folder: Path):
    fill(folder, "A")
    fill(folder, "own", text="#!/bin/bash\n#NUNATAK priority=7\necho ok\n")
    queue.folder = folder
    nunatak("enqueue", str(folder), "--per-node", "2", "--retries", "1")
    said = nunatak("enqueue", str(folder), "--priority", "9")
    assert "0 enqueued, 1 already queued, 0 already done, 0 failed before, 1 changed" in said.out
    assert "priority 5 -> 9" in said.err
    assert queue.lane("qsub_A.sh").startswith("9.2.")
    assert queue.lane("qsub_own.sh").startswith("7.2.")
    name = said.out.split(":")[0]
    campaign = queue.broker.ledger.campaign(name)
    assert campaign is not None
    assert {key: campaign.options[key] for key in ("retries", "per_node", "priority")} == {"retries": "1", "per_node": "2", "priority": "9"}


def test_changed_options_hold_for_the_campaigns_other_directories_too(nunatak: Command, queue: Queue, folder: Path, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    fill(folder, "A")
    fill(other, "B")
    for place in (folder, other):
        assert nunatak("enqueue", str(place), "--campaign", "two-places", "--done", "exit-code").code == 0
    nunatak("enqueue", str(folder), "--campaign", "two-places", "--time", "11h")
    queue.folder = other
    assert queue.lane("qsub_B.sh").split(".")[2] == "39600"


def test_what_failed_before_waits_for_again(nunatak: Command, queue: Queue, folder: Path):
    fill(folder, "A")
    nunatak("enqueue", str(folder), "--campaign", "failing", "--retries", "0")
    queue.fail("failing")
    said = nunatak("enqueue", str(folder), "--campaign", "failing")
    assert "0 enqueued, 0 already queued, 0 already done, 1 failed before" in said.out
    assert "--again, or nunatak retry --campaign failing" in said.err
    assert "1 enqueued" in nunatak("enqueue", str(folder), "--campaign", "failing", "--again").out


def test_a_jobfile_is_active_in_one_campaign_only(nunatak: Command, folder: Path):
    fill(folder, "A")
    nunatak("enqueue", str(folder), "--campaign", "first")
    said = nunatak("enqueue", str(folder), "--campaign", "second")
    assert "0 enqueued, 1 already queued" in said.out
    assert "1 of those already queued are in campaign first" in said.err


def test_the_enqueuers_umask_is_kept(nunatak: Command, queue: Queue, folder: Path):
    fill(folder, "A")
    before = os.umask(0o027)
    try:
        nunatak("enqueue", str(folder), "--campaign", "masked")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    campaign = queue.broker.ledger.campaign("masked")
    assert campaign is not None
    assert campaign.options["umask"] == "027"


def test_a_rule_that_fits_no_name_is_not_found_out_on_a_node(nunatak: Command, folder: Path):
    (folder / "other.sh").write_text(GOOD)
    fill(folder, "A")
    said = nunatak("enqueue", str(folder), "--pattern", "*.sh", "--done", "setsm-scene", "--dry-run")
    assert said.code == 1
    assert "other.sh: the done rule is for names that begin with 'qsub_'" in said.err


def test_warnings_of_many_jobfiles_are_one_sentence(nunatak: Command, folder: Path):
    fill(folder, "A", "B", "C", text="#!/bin/bash\nsrun ./a\n")
    said = nunatak("enqueue", str(folder), "--dry-run")
    warnings = [line for line in said.err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "srun" in warnings[0]
    assert warnings[0].endswith("(qsub_A.sh:2 and 2 more)")


def test_a_directory_of_another_home_is_refused_without_force(nunatak: Command, folder: Path):
    fill(folder, "A")
    (folder / ".nunatak").write_text(json.dumps({"home": "/somewhere/else"}))
    said = nunatak("enqueue", str(folder))
    assert said.code == 2
    assert "NUNATAK_HOME=/somewhere/else" in said.err
    assert nunatak("enqueue", str(folder), "--dry-run").code == 2
    assert nunatak("enqueue", str(folder), "--force").code == 0
    assert nunatak("enqueue", str(folder)).code == 0


def test_a_marker_names_the_real_home_and_one_that_cannot_be_written_is_a_warning(tmp_path: Path):
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    assert write_marker(tmp_path, Home(link)) is None
    assert read_marker(tmp_path) == str(real)
    check_marker(tmp_path, Home(real))
    warning = write_marker(tmp_path / "missing", Home(real))
    assert warning is not None
    assert "cannot be written" in warning


def test_names_that_are_not_utf8_go_the_whole_way(nunatak: Command, folder: Path):
    odd = os.fsencode(folder) + b"/qsub_caf\xe9 1.sh"
    Path(os.fsdecode(odd)).write_text(GOOD)
    said = nunatak("enqueue", str(folder), "--campaign", "odd", "--json")
    assert said.json["enqueued"] == 1
    jobs = nunatak("jobs", "--campaign", "odd", "--json").lines
    assert os.fsencode(jobs[0]["jobfile"]) == odd
