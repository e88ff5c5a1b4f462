"""Blocks through the provider of a user's own Parsl config."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from servers import wait_until

from broker.home import Home
from launcher import blocks
from launcher.block import Block, BlockState
from launcher.errors import CancelFailed, SubmitFailed
from launcher.site import Site
from launcher.slurm_state import MISSING_S

_LOCAL = """\
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.launchers import SingleNodeLauncher
from parsl.providers import LocalProvider

config = Config(executors=[HighThroughputExecutor(provider=LocalProvider(launcher=SingleNodeLauncher(debug=False)))])
"""
#: A provider that says what stands in a file, and notes what it is asked.
_ODD = """\
import subprocess
from pathlib import Path
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.jobs.states import JobState, JobStatus
from parsl.launchers import SimpleLauncher
from parsl.providers.base import ExecutionProvider

HERE = Path({folder!r})

class Odd(ExecutionProvider):
    label, status_polling_interval = "odd", 60
    def __init__(self):
        self.resources, self.script_dir, self.nodes_per_block = {{}}, None, 1
        self.init_blocks, self.min_blocks, self.max_blocks, self.parallelism = 0, 0, 1, 1
        self.launcher = SimpleLauncher()
    def note(self, *words):
        with (HERE / "asked").open("a") as asked:
            print(*words, file=asked)
    def submit(self, command, tasks_per_node, job_name="x"):
        self.note("submit", job_name, tasks_per_node)
        word = (HERE / "submits").read_text()
        if word == "raises":
            raise subprocess.TimeoutExpired("qsub", 60)
        if word:
            self.resources[word] = {{"job_id": word, "status": JobStatus(JobState.PENDING), "file": "f"}}
        return word
    def status(self, job_ids):
        self.note("status", *job_ids, *(self.resources[i]["file"] for i in job_ids))
        word = (HERE / "says").read_text()
        if word == "raises":
            raise OSError("qstat: no route to host")
        return [JobStatus(getattr(JobState, word)) for _ in job_ids]
    def cancel(self, job_ids):
        self.note("cancel", *job_ids)
        return [(HERE / "says").read_text() != "FAILED" for _ in job_ids]

config = Config(executors=[HighThroughputExecutor(provider=Odd())])
"""


class Notes:
    def __init__(self) -> None:
        self.kept: list[dict[str, str]] = []

    def record_block(self, block_id: str, fields: dict[str, str]) -> None:  # noqa: ARG002
        self.kept.append(fields)

    @property
    def states(self) -> list[str]:
        return [fields["state"] for fields in self.kept]


@pytest.fixture
def home(tmp_path) -> Home:
    made = Home(tmp_path / "home")
    made.create()
    return made


class Odd:
    """The odd provider, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        config = folder / "odd.py"
        config.write_text(_ODD.format(folder=str(folder)))
        self.site = Site(name="odd", provider="parsl", parsl_config=str(config), max_workers=2, walltime="01:00:00")
        self.says("PENDING")
        self.submits("job-1")

    def says(self, word: str) -> None:
        (self.folder / "says").write_text(word)

    def submits(self, word: str) -> None:
        (self.folder / "submits").write_text(word)

    @property
    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()


@pytest.fixture
def odd(tmp_path) -> Odd:
    return Odd(tmp_path)


def _submit(odd: Odd, home: Home, ledger: Notes | None = None) -> Block:
    return blocks.submit(odd.site, home, "b1", ledger=ledger or Notes(), command=["true"])


def test_each_submission_look_and_cancel_goes_through_the_provider_of_the_config(odd, home):
    ledger = Notes()
    block = _submit(odd, home, ledger)
    adopted = Block.from_fields("b1", json.loads(json.dumps(ledger.kept[-1])))
    assert (adopted, adopted.state, adopted.job_id, adopted.slots) == (block, BlockState.WAITING, "job-1", 2)
    odd.says("RUNNING")
    running = blocks.look(adopted, home)
    assert (running.state, running.started_at is not None) == (BlockState.RUNNING, True)
    assert blocks.cancel(running, home, ledger=ledger).state is BlockState.LEAVING
    assert odd.asked == ["submit b1 1", "status job-1 f", "cancel job-1"]


def test_completed_is_no_end_before_it_has_been_said_for_ten_minutes(odd, home):
    block = _submit(odd, home)
    odd.says("COMPLETED")
    first = blocks.look(block, home, clock=lambda: 1000.0)
    assert (first.state, first.missing_since) == (BlockState.UNKNOWN, 1000.0)
    assert blocks.look(first, home, clock=lambda: 1000.0 + MISSING_S).state is BlockState.ENDED
    odd.says("RUNNING")
    assert blocks.look(first, home).missing_since is None


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("PENDING", BlockState.WAITING),
        ("HELD", BlockState.WAITING),
        ("FAILED", BlockState.FAILED),
        ("TIMEOUT", BlockState.ENDED),
        ("CANCELLED", BlockState.CANCELLED),
        ("MISSING", BlockState.UNKNOWN),
        ("UNKNOWN", BlockState.UNKNOWN),
    ],
)
def test_what_a_provider_says_is_taken_by_a_positive_list(odd, home, word, state):
    block = _submit(odd, home)
    odd.says(word)
    assert blocks.look(block, home).state is state


def test_a_provider_that_raises_is_silent_and_changes_no_block(odd, home):
    block = _submit(odd, home)
    odd.says("raises")
    answer = blocks.look_all([block], home)
    assert answer.blocks[0] is block
    assert "did not answer: OSError: qstat: no route to host" in answer.silence["parsl"]


@pytest.mark.parametrize("word", ["raises", ""])
def test_a_submission_that_fails_is_unknown_until_a_person_has_looked(odd, home, word):
    ledger = Notes()
    odd.submits(word)
    with pytest.raises(SubmitFailed, match=r"Its scripts are kept in") as caught:
        _submit(odd, home, ledger)
    assert (caught.value.refused, ledger.states) == (False, ["intended", "unknown"])
    unknown = Block.from_fields("b1", ledger.kept[-1])
    assert blocks.look(unknown, home).state is BlockState.UNKNOWN
    assert blocks.look(blocks.cancel(unknown, home, ledger=ledger), home).state is BlockState.CANCELLED


def test_a_cancel_that_the_provider_could_not_carry_out_is_said(odd, home):
    block = _submit(odd, home)
    odd.says("FAILED")
    with pytest.raises(CancelFailed, match="its provider could not; cancel it again"):
        blocks.cancel(block, home, ledger=Notes())


def test_a_home_that_parsls_launchers_do_not_bear_is_refused(odd, tmp_path):
    home = Home(tmp_path / "a home")
    home.create()
    with pytest.raises(SubmitFailed, match="do not bear; set NUNATAK_HOME to a plain one") as caught:
        _submit(odd, home)
    assert caught.value.refused


def test_a_block_runs_through_parsls_own_local_provider(home, tmp_path):
    config, out = tmp_path / "own.py", tmp_path / "out"
    config.write_text(_LOCAL)
    site = Site(name="own", provider="parsl", parsl_config=str(config), max_workers=1, node_init="export FROM_NODE=1")
    command = ["/bin/bash", "-c", f"echo $FROM_NODE $NUNATAK_HOME > {out}.new; mv {out}.new {out}; exec sleep 60"]
    ledger = Notes()
    block = blocks.submit(site, home, "b1", ledger=ledger, command=command)
    wait_until(out.exists, 30, f"the block's output; {blocks.said(block, home)}")
    assert out.read_text() == f"1 {home.root}\n"
    running = blocks.look(block, home)
    assert running.state is BlockState.RUNNING
    leaving = blocks.cancel(replace(running), home, ledger=ledger)
    wait_until(lambda: blocks.look(leaving, home).state is not BlockState.LEAVING, 30, "the block to end")
