"""What we make of Slurm's commands when they fail: `sbatch`, `squeue`, `scontrol` and `scancel` are programs that misbehave on purpose."""

import os
import re
import shlex
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from launcher_queue_text import HEADER, record

from broker.home import Home
from launcher import blocks
from launcher.block import Block, BlockState
from launcher.cap import Cap
from launcher.errors import CancelFailed, SubmitFailed, SubmitRefused
from launcher.site import Site
from launcher.slurm_commands import CommandFailed, NoCommand, clean_environment, run
from launcher.slurm_state import MISSING_S

SITE = Site(name="s", provider="slurm", nodes_per_block=4, walltime="02:00:00", cmd_timeout_s=30, max_workers=2)
ACCEPTS = "echo Submitted batch job 17"


class Notes:
    """A ledger that says what it is told to say."""

    def __init__(self, word: str = "ok", after: str = "recorded") -> None:
        self.word, self.after = word, after
        self.kept: list[dict[str, str]] = []
        self.asked: list[tuple[str, int, int | None, int]] = []

    def intend(self, block_id: str, fields: dict[str, str], *, site: str, seen: int, max_live: int | None, per_hour: int) -> str:  # noqa: ARG002
        self.asked.append((site, seen, max_live, per_hour))
        if self.word == "ok":
            self.kept.append(fields)
        return self.word

    def record_block(self, block_id: str, fields: dict[str, str]) -> str:  # noqa: ARG002
        self.kept.append(fields)
        return self.after

    @property
    def states(self) -> list[str]:
        return [fields["state"] for fields in self.kept]


class Fakes:
    """Programs called as Slurm's are, each of which notes how it was called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def write(self, name: str, text: str) -> None:
        file = self.folder / name
        file.write_text(f"#!/bin/bash\necho \"$*\" >> {self.folder}/{name}.calls\n{text}\n")
        file.chmod(0o755)

    def says(self, name: str, text: str) -> None:
        (self.folder / f"{name}.text").write_text(text)
        self.write(name, f"cat {self.folder}/{name}.text")

    def calls(self, name: str) -> list[str]:
        file = self.folder / f"{name}.calls"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def fakes(tmp_path, monkeypatch) -> Fakes:
    made = Fakes(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{made.folder}:{os.environ['PATH']}")
    return made


@pytest.fixture
def home(tmp_path) -> Home:
    made = Home(tmp_path / "home")
    made.create()
    return made


def _block(block_id: str = "b1", **changes: object) -> Block:
    block = Block(block_id=block_id, site="s", provider="slurm", state=BlockState.RUNNING, job_id="17", submitted_at=1.0)
    return replace(block, **changes)


def test_a_block_is_handed_to_sbatch_once_and_waits_with_its_number(fakes, home):
    fakes.write("sbatch", ACCEPTS)
    fakes.write("sacct", "exit 1")
    ledger = Notes()
    block = blocks.submit(SITE, home, "b1", ledger=ledger, command=["true"])
    assert (block.state, block.job_id, block.slots, block.nodes, block.walltime_s) == (BlockState.WAITING, "17", 2, 4, 7200)
    assert ledger.states == ["intended", "waiting"]
    (call,) = fakes.calls("sbatch")
    text = Path(shlex.split(call)[0]).read_text()
    assert "#SBATCH --job-name=b1\n" in text
    assert "#SBATCH --time=02:00:00\n" in text
    assert fakes.calls("sacct") == []


def test_the_ledger_is_asked_before_sbatch_and_may_refuse(fakes, home):
    fakes.write("sbatch", ACCEPTS)
    ledger = Notes("cap")
    with pytest.raises(SubmitRefused, match=r"the site has as many blocks as are allowed. Nothing was submitted") as caught:
        blocks.submit(SITE, home, "b1", ledger=ledger, command=["true"], cap=Cap(seen=3, max_live=3, per_hour=20))
    assert (caught.value.why, ledger.asked, ledger.kept) == ("cap", [("s", 3, 3, 20)], [])
    assert fakes.calls("sbatch") == []
    assert not (home.blocks_dir / "b1").exists()


def test_a_definite_no_ends_the_block_at_once_with_sbatchs_own_words(fakes, home):
    what = "Batch job submission failed: Invalid account or account/partition combination specified"
    fakes.write("sbatch", f'echo "sbatch: error: {what}" >&2; exit 1')
    ledger = Notes()
    said = r"sbatch ended with 1 for block b1: .*Invalid account.*Its script is kept in .*--test-only"
    with pytest.raises(SubmitFailed, match=said) as caught:
        blocks.submit(SITE, home, "b1", ledger=ledger, command=["true"], clock=lambda: 5.0)
    assert caught.value.refused
    assert ledger.states == ["intended", "failed"]
    assert (ledger.kept[-1]["ended_at"], "Invalid account" in ledger.kept[-1]["reason"]) == ("5.0", True)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('echo "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation" >&2; exit 1', "Socket timed out"),
        ("exit 1", 'sbatch ended with 1 for block b1: "it said nothing"'),
        ("echo hello", 'sbatch ended with 0 for block b1: "hello"'),
        ("echo Submitted batch job soon", "the number 'soon', which is none"),
        ("sleep 600", "sbatch did not answer in 1 s"),
        ("kill -9 $$", "sbatch ended with -9"),
    ],
)
def test_whatever_else_sbatch_does_leaves_the_block_unknown_and_alive(fakes, home, text, why):
    fakes.write("sbatch", text)
    ledger = Notes()
    with pytest.raises(SubmitFailed, match=why) as caught:
        blocks.submit(replace(SITE, cmd_timeout_s=1 if "sleep" in text else 30), home, "b1", ledger=ledger, command=["true"])
    assert not caught.value.refused
    assert ledger.states == ["intended", "unknown"]
    assert ledger.kept[-1]["ended_at"] == ""


def test_without_sbatch_nothing_was_submitted(home, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    ledger = Notes()
    with pytest.raises(SubmitFailed, match="sbatch is not on PATH: is this a login host"):
        blocks.submit(SITE, home, "b1", ledger=ledger, command=["true"])
    assert ledger.states == ["intended", "failed"]


def test_a_block_that_was_given_up_while_sbatch_hung_is_cancelled_at_once(fakes, home):
    fakes.write("sbatch", ACCEPTS)
    fakes.write("scancel", "true")
    with pytest.raises(SubmitFailed, match="given up by another launcher while it was being submitted; its job 17 was cancelled"):
        blocks.submit(SITE, home, "b1", ledger=Notes(after="over"), command=["true"])
    assert fakes.calls("scancel") == ["--name=b1 17"]


def test_one_squeue_is_asked_for_all_blocks(fakes, home):
    rows = (record("17", "RUNNING", name="b1"), record("18", "PENDING", name="b2"), record("9", "RUNNING", name="x"))
    fakes.says("squeue", HEADER + "".join(rows))
    answer = blocks.look_all([_block("b1"), _block("b2", job_id="18"), _block("b0", state=BlockState.ENDED)], home)
    assert [(b.block_id, b.state.value) for b in answer.blocks] == [("b1", "running"), ("b2", "waiting"), ("b0", "ended")]
    assert (dict(answer.silence), dict(answer.others)) == ({}, {"main": (1, 0)})
    assert len(fakes.calls("squeue")) == 1


def test_a_scheduler_is_asked_although_none_of_its_blocks_lives(fakes, home):
    fakes.says("squeue", HEADER)
    assert dict(blocks.look_all([], home, providers=["slurm"]).silence) == {}
    fakes.says("squeue", "")
    assert list(blocks.look_all([], home, providers=["slurm"]).silence) == ["slurm"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("true", "squeue answered nothing, not even its header"),
        ("echo 17 R; echo 18 R", r"squeue answered garbage: '17 R\\n18 R\\n'"),
        ('echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1', "squeue ended with 1: slurm_load_jobs error"),
        ("exit 3", "squeue ended with 3: it said nothing"),
        ("sleep 600", "squeue did not answer in 1 s"),
        ("sleep 600 & wait", "squeue did not answer in 1 s"),
    ],
)
def test_silence_has_a_reason_and_changes_no_block(fakes, home, text, why):
    fakes.write("squeue", text)
    block = _block()
    answer = blocks.look_all([block], home, timeout_s=1 if "sleep" in text else 30)
    assert answer.blocks[0] is block
    assert re.search(why, answer.silence["slurm"]), answer.silence


def test_half_of_the_blocks_are_unknown_and_none_is_over(fakes, home):
    fakes.says("squeue", HEADER + record("17", "RUNNING", name="b1"))
    answer = blocks.look_all([_block("b1"), _block("b2", job_id="18")], home)
    assert [b.state for b in answer.blocks] == [BlockState.RUNNING, BlockState.UNKNOWN]
    assert not answer.silence


def test_a_naive_reader_would_take_the_same_answers_for_ended_blocks(fakes, home):
    """Parsl's own: what these answers lack is COMPLETED to it, and room for other blocks."""
    from parsl.jobs.states import JobState, JobStatus

    from launcher.slurm_provider import SlurmBlockProvider

    fakes.write("squeue", "true")
    naive = SlurmBlockProvider(SITE, "b1", home.blocks_dir, 30)
    naive.resources["17"] = {"job_id": "17", "status": JobStatus(JobState.RUNNING), "job_stdout_path": "", "job_stderr_path": ""}
    assert naive.status(["17"])[0].state is JobState.COMPLETED
    assert blocks.look_all([_block()], home).blocks[0].state is BlockState.RUNNING


def test_a_missing_block_is_over_only_when_slurm_denies_its_very_number(fakes, home):
    fakes.says("squeue", HEADER)
    missing = _block(missing_since=1000.0)
    later = 1000.0 + MISSING_S
    for answer, state in (
        ("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", BlockState.UNKNOWN),
        ("echo 'JobId=17 JobName=b1 UserId=u(1) JobState=RUNNING'", BlockState.UNKNOWN),
        ("sleep 600", BlockState.UNKNOWN),
        ("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1", BlockState.FAILED),
        ("echo 'JobId=17 JobName=other UserId=u(1) JobState=RUNNING Command=/x/other'", BlockState.FAILED),
    ):
        fakes.write("scontrol", answer)
        assert blocks.look_all([missing], home, clock=lambda: later, timeout_s=2).blocks[0].state is state, answer


def test_slurm_is_not_asked_for_numbers_before_the_time(fakes, home):
    fakes.says("squeue", HEADER)
    fakes.write("scontrol", "exit 1")
    blocks.look_all([_block(missing_since=1000.0)], home, clock=lambda: 1000.0 + MISSING_S - 1)
    assert fakes.calls("scontrol") == []


def test_a_cancel_goes_to_scancel_by_number_after_it_is_recorded(fakes, home):
    fakes.write("scancel", "true")
    ledger = Notes()
    blocks.cancel(_block(), home, ledger=ledger)
    assert (fakes.calls("scancel"), ledger.states) == (["--name=b1 17"], ["leaving"])


def test_a_block_that_ends_while_it_is_cancelled_is_no_failure_of_the_cancel(fakes, home):
    fakes.write("scancel", "echo 'scancel: error: Kill job error on job id 17: Invalid job id specified' >&2; exit 1")
    ledger = Notes()
    blocks.cancel(_block(), home, ledger=ledger)
    fakes.says("squeue", HEADER + record("17", "COMPLETED"))
    assert blocks.look_all([Block.from_fields("b1", ledger.kept[-1])], home).blocks[0].state.is_over


@pytest.mark.parametrize("text", ["echo 'scancel: error: Unable to contact slurm controller' >&2; exit 1", "sleep 600"])
def test_a_cancel_that_did_not_arrive_is_said_and_repeated_by_the_next_look(fakes, home, text):
    fakes.write("scancel", text)
    ledger = Notes()
    with pytest.raises(CancelFailed, match=r"block b1 was not cancelled: .*the next look tries again"):
        blocks.cancel(_block(), home, ledger=ledger, timeout_s=1)
    leaving = Block.from_fields("b1", ledger.kept[-1])
    fakes.write("scancel", "true")
    fakes.says("squeue", HEADER + record("17", "RUNNING"))
    assert blocks.look_all([leaving], home).blocks[0].state is BlockState.LEAVING
    assert len(fakes.calls("scancel")) == 2
    fakes.says("squeue", HEADER + record("17", "COMPLETING"))
    blocks.look_all([leaving], home)
    assert len(fakes.calls("scancel")) == 2


def test_a_cancelled_intent_is_ended_when_it_turns_up(fakes, home):
    fakes.says("squeue", HEADER)
    fakes.write("scancel", "true")
    ledger = Notes()
    with pytest.raises(CancelFailed, match="has no job number yet; it is cancelled when squeue shows it"):
        blocks.cancel(_block(state=BlockState.INTENDED, job_id=""), home, ledger=ledger)
    fakes.says("squeue", HEADER + record("21", "PENDING"))
    found = blocks.look_all([Block.from_fields("b1", ledger.kept[-1])], home).blocks[0]
    assert (fakes.calls("scancel"), found.job_id, found.state) == (["--name=b1 21"], "21", BlockState.LEAVING)


def test_a_command_that_hangs_is_killed_with_all_that_it_started(fakes, tmp_path):
    fakes.write("squeue", f"sleep 613 & echo $! > {tmp_path}/child; wait")
    with pytest.raises(CommandFailed, match="squeue did not answer in 1 s"):
        run(["squeue"], 1)
    child = Path("/proc") / (tmp_path / "child").read_text().strip() / "cmdline"
    deadline = time.monotonic() + 10
    while child.exists() and b"613" in child.read_bytes():
        assert time.monotonic() < deadline, "the child lives on"
        time.sleep(0.05)


def test_every_command_has_the_same_environment_wherever_it_is_started_from(fakes, monkeypatch):
    fakes.write("squeue", "env -0")
    fakes_path = str(fakes.folder)
    monkeypatch.setenv("SQUEUE_STATES", "RUNNING")
    monkeypatch.setenv("SBATCH_TIMELIMIT", "1")
    monkeypatch.setenv("PYTHONPATH", "/x")
    monkeypatch.setenv("VIRTUAL_ENV", "/x")
    monkeypatch.setenv("NUNATAK_HOME", "/x")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    seen = dict(word.split("=", 1) for word in run(["squeue"], 30).out.split("\0") if "=" in word)
    assert {name for name in seen if name not in ("_", "SHLVL", "PWD")} == {"HOME", "USER", "LOGNAME", "SHELL", "PATH"}
    assert seen["PATH"].endswith(f":/sbin:{fakes_path}")


def test_only_slurms_own_configuration_is_handed_on():
    assert clean_environment("/usr/bin/squeue", {"SLURM_CONF": "/x", "SLURM_JOB_ID": "1"})["SLURM_CONF"] == "/x"
    assert "SLURM_JOB_ID" not in clean_environment("/usr/bin/squeue", {"SLURM_JOB_ID": "1"})


def test_a_command_that_is_not_there_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoCommand, match="squeue is not on PATH"):
        run(["squeue"], 1)


def test_parsls_provider_is_asked_for_each_submission_and_each_cancel(fakes, home, monkeypatch):
    from parsl.providers import SlurmProvider

    asked: list[tuple[str, object]] = []
    for name in ("submit", "cancel"):
        was = getattr(SlurmProvider, name)

        def recorded(self, *args, _was=was, _name=name):
            asked.append((_name, args))
            return _was(self, *args)

        monkeypatch.setattr(SlurmProvider, name, recorded)
    fakes.write("sbatch", ACCEPTS)
    fakes.write("scancel", "true")
    ledger = Notes()
    for number in range(3):
        blocks.cancel(blocks.submit(SITE, home, f"b{number}", ledger=ledger, command=["true"]), home, ledger=ledger)
    assert [name for name, _ in asked] == ["submit", "cancel"] * 3
    assert [len(fakes.calls(name)) for name in ("sbatch", "scancel")] == [3, 3]


def test_slurms_side_imports_no_parsl_until_it_submits():
    code = "import sys, launcher.blocks; launcher.blocks.provider_of('slurm'); print('parsl' in sys.modules, 'redis' in sys.modules)"
    ended = subprocess.run([os.sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert ended.stdout == "False False\n"
