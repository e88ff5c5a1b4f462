"""The sample jobfiles: they run, meet their done rule, leave a trace of every run, and the hard cases are all there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nunatak.directory import scan
from nunatak.samples import AWKWARD, stand_in, write_awkward, write_samples
from tasks.done_rule import DoneRule, default_rule
from tasks.jobfile import argv


def write_few(out: Path, count: int = 2, seed: int = 1) -> Path:
    return write_samples(out, count=count, median_s=0.05, sigma=0.1, max_s=0.1, seed=seed)


def test_a_sample_meets_the_setsm_rule_when_it_has_run_and_not_before(tmp_path: Path) -> None:
    found = scan(write_few(tmp_path))
    rule = DoneRule.parse(default_rule(found.directory, [j.path.name for j in found.good]))
    jobfile = found.good[0]
    assert rule.text == "setsm-scene"
    assert rule.is_done(jobfile.path) is False
    environ = {**os.environ, "NUNATAK_ATTEMPT": "3"}
    ran = subprocess.run(argv(jobfile), cwd=found.directory, capture_output=True, text=True, check=True, env=environ)
    assert rule.is_done(jobfile.path) is True
    assert rule.is_done(found.good[1].path) is False
    assert re.search(r"\nTotal Processing Time: 0:\d\d:\d\d\n\Z", ran.stdout)
    assert ran.stderr == ""
    lines = [line.split() for line in (tmp_path / "runs.log").read_text().splitlines()]
    assert [line[1] for line in lines] == ["start", "end"]
    assert all(line[4] == jobfile.path.stem.removeprefix("qsub_") and line[5] == "3" and float(line[0]) > 0 for line in lines)


def test_the_same_seed_writes_the_same_files(tmp_path: Path) -> None:
    first, again, other = (write_few(tmp_path / name, 5, seed) for name, seed in (("a", 7), ("b", 7), ("c", 8)))
    texts = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in (first, again, other)]
    assert len(texts[0]) == 5
    assert texts[0] == texts[1]
    assert not texts[0].keys() & texts[2].keys()


@pytest.mark.parametrize(("seconds", "steps"), [(0.01, 1), (1.0, 4), (60.0, 20)])
def test_a_sample_works_in_steps_for_about_its_duration(seconds: float, steps: int) -> None:
    text = stand_in(seconds).decode()
    assert f"seq 1 {steps})" in text
    assert f"sleep {seconds / steps:.3f}" in text


def test_the_hard_cases_are_accepted_or_refused_as_meant(tmp_path: Path) -> None:
    found = scan(write_awkward(tmp_path))
    refused = {r.file.name: (r.line, r.reason.split(";")[0]) for r in found.rejected}
    assert refused == {
        "qsub_bad_header.sh": (2, "unknown option 'walltme'"),
        "qsub_binary.sh": (1, "is binary (it holds a NUL byte)"),
        "qsub_crlf.sh": (1, "has Windows line ends (CR LF)"),
        "qsub_empty.sh": (None, "is empty"),
        "qsub_no_interpreter.sh": (1, "its shebang's program '/opt/no/such/shell' does not exist on this host"),
    }
    good = {os.fsencode(j.path.name): j for j in found.good}
    assert good.keys() == AWKWARD.keys() - {os.fsencode(name) for name in refused} - {b"notes.txt"}
    assert good[b"qsub_header.sh"].options.priority == 7
    assert good[b"qsub_header.sh"].hints.cpus == 24
    assert good[b"qsub_silent.sh"].options.done == "{stem}.never"
    assert not good[b"qsub_no_execute_bit.sh"].path.stat().st_mode & 0o111
    assert good[b"qsub_with space.sh"].path.stat().st_mode & 0o100


@pytest.mark.parametrize(
    ("name", "attempt", "code", "printed"),
    [
        (b"qsub_with space.sh", 1, 0, 3),
        (b"qsub_latin1_\xfc.sh", 1, 0, 3),
        (b"qsub_no_shebang.sh", 1, 0, 3),
        (b"qsub_flaky.sh", 1, 3, 0),
        (b"qsub_flaky.sh", 2, 0, 3),
        (b"qsub_fails.sh", 1, 7, 0),
        (b"qsub_killed.sh", 1, -9, 0),
        (b"qsub_silent.sh", 1, 0, 0),
        (b"qsub_chatty.sh", 1, 0, 30_000_001),
    ],
)
def test_a_hard_case_ends_as_its_name_says(tmp_path: Path, name: bytes, attempt: int, code: int, printed: int) -> None:
    jobfile = next(j for j in scan(write_awkward(tmp_path)).good if os.fsencode(j.path.name) == name)
    ran = subprocess.run(argv(jobfile), capture_output=True, check=False, env={**os.environ, "NUNATAK_ATTEMPT": str(attempt)})
    assert (ran.returncode, len(ran.stdout)) == (code, printed)


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-I", "-m", "nunatak.samples", *arguments], capture_output=True, text=True, check=False)


def test_the_command_writes_what_it_is_asked_for(tmp_path: Path) -> None:
    ran = command(str(tmp_path / "out"), "--count", "3", "--awkward")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"3 jobfiles in {tmp_path}/out/region_03_conus/jobfiles/2m\n")
    assert len(list((tmp_path / "out/region_03_conus/jobfiles/2m").glob("qsub_*.sh"))) == 3
    assert (tmp_path / "out/region_03_conus/jobfiles/awkward/notes.txt").exists()


@pytest.mark.parametrize("arguments", [["--count", "-1"], ["--median-s", "0"], ["--sigma", "wide"], ["--max-s", "inf"]])
def test_the_command_refuses_a_value_that_makes_no_sense(tmp_path: Path, arguments: list[str]) -> None:
    ran = command(str(tmp_path / "out"), *arguments)
    assert ran.returncode == 2
    assert repr(arguments[1]) in ran.stderr
    assert not (tmp_path / "out").exists()
