"""The samples' hard cases, all in one run: each ends exactly as it should, and those that cannot run are named with their remedy."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from whole.machine import PROGRAM, Machine, machine_in

from broker.records import Job, State
from nunatak.samples import AWKWARD, write_awkward

#: Name -> state, reason, exit code, signal, attempts, failures.
_DONE = (State.DONE, "exit code 0", 0, None, 1, 0)
_ENDS = {
    b"qsub_with space.sh": _DONE,
    "qsub_ünïcode.sh".encode(): _DONE,
    b"qsub_latin1_\xfc.sh": _DONE,
    b"qsub_no_execute_bit.sh": _DONE,
    b"qsub_no_shebang.sh": _DONE,
    b"qsub_escape.sh": _DONE,
    b"qsub_chatty.sh": _DONE,
    b"qsub_header.sh": _DONE,
    b"qsub_flaky.sh": (State.DONE, "exit code 0", 0, None, 2, 1),
    b"qsub_fails.sh": (State.FAILED, "exit code 7", 7, None, 4, 4),
    b"qsub_killed.sh": (State.FAILED, "killed by SIGKILL, perhaps for want of memory", None, 9, 4, 4),
    b"qsub_silent.sh": (State.FAILED, "exit code 0, but the outputs are not there", 0, None, 1, 1),
}
#: Name -> place behind the name, reason, remedy.
_REJECTED = {
    "qsub_crlf.sh": (":1", "has Windows line ends (CR LF)", r"try: sed -i 's/\r$//' "),
    "qsub_no_interpreter.sh": (":1", "its shebang's program '/opt/no/such/shell' does not exist on this host", "begin it with #!/bin/bash"),
    "qsub_bad_header.sh": (":2", "unknown option 'walltme'; did you mean time?", "the options are time, max"),
    "qsub_binary.sh": (":1", "is binary (it holds a NUL byte)", "a jobfile is a script"),
    "qsub_empty.sh": ("", "is empty", "write it again"),
}


@dataclass(frozen=True)
class Ended:
    """A machine after its run of the hard cases."""

    machine: Machine
    said: "subprocess.CompletedProcess[str]"
    jobs: dict[bytes, Job]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    with machine_in(tmp_path_factory.mktemp("awkward")) as machine:
        machine.folder = write_awkward(machine.root)
        child = machine.popen("run", str(machine.folder), "--slots", "4", "--campaign", "hard", program=PROGRAM)
        out, err = child.communicate(timeout=90)
        left = machine.processes()
        jobs = {os.fsencode(job.name): job for job in machine.jobs_of_a_stopped_broker().values()}
        assert left == [], "nothing that has escaped lives on"
        yield Ended(machine, subprocess.CompletedProcess(child.args, child.returncode, out, err), jobs)


def test_the_run_ends_with_1_because_not_all_are_done(ended: Ended):
    assert ended.said.returncode == 1, ended.said.stderr
    assert "is paused" not in ended.said.stderr


def test_every_hard_case_is_in_one_of_the_two_tables(ended: Ended):
    assert set(_ENDS) | {name.encode() for name in _REJECTED} | {b"notes.txt"} == set(AWKWARD)
    assert set(ended.jobs) == set(_ENDS)


@pytest.mark.parametrize("name", _ENDS, ids=lambda name: name.decode(errors="replace"))
def test_a_hard_case_ends_as_it_should(ended: Ended, name: bytes):
    job = ended.jobs[name]
    latest = job.latest
    assert (job.state, latest.reason, latest.exit_code, latest.signal, latest.number, job.failures) == _ENDS[name]
    assert (job.deliveries, job.losses) == (latest.number, 0)


@pytest.mark.parametrize("name", _REJECTED)
def test_what_cannot_run_is_rejected_with_file_line_reason_and_remedy(ended: Ended, name: str):
    place, reason, remedy = _REJECTED[name]
    (line,) = [line for line in ended.said.stderr.splitlines() if f"/{name}" in line]
    assert line.startswith(f"rejected: {ended.machine.folder}/{name}{place}: {reason}")
    assert remedy in line


def test_what_failed_is_listed_with_reason_and_log_and_the_rejected_are_counted(ended: Ended):
    folder = ended.machine.folder
    assert f"failed: {folder}/qsub_fails.sh\n  exit code 7, attempt 4\n  {folder}/qsub_fails.sh.err\n" in ended.said.stdout
    assert re.search(rf"^ *rejected, not enqueued +{len(_REJECTED)}$", ended.said.stdout, re.MULTILINE), ended.said.stdout


def test_output_is_whole_and_names_that_are_no_utf8_keep_their_bytes(ended: Ended):
    folder = os.fsencode(ended.machine.folder)
    assert Path(os.fsdecode(folder + b"/qsub_latin1_\xfc.sh.out")).read_text() == "ok\n"
    assert Path(os.fsdecode(folder + b"/qsub_with space.sh.out")).read_text() == "ok\n"
    assert (ended.machine.folder / "qsub_chatty.sh.out").stat().st_size == 30_000_001
    assert (ended.machine.folder / "qsub_flaky.sh.err.1").read_text() == "first time\n"
    attempts = [f"qsub_fails.sh.err{suffix}" for suffix in ("", ".1", ".2", ".3")]
    assert sorted(path.name for path in ended.machine.folder.glob("qsub_fails.sh.err*")) == attempts


def test_a_header_is_above_the_defaults(ended: Ended):
    assert ended.jobs[b"qsub_header.sh"].priority == 7
    assert ended.jobs[b"qsub_fails.sh"].priority == 5


def test_the_next_run_starts_nothing(ended: Ended):
    before = ended.machine.blocks()
    said = ended.machine.call("run", str(ended.machine.folder), "--campaign", "hard")
    assert said.code == 1
    assert ended.machine.blocks() == before
    assert "3 ended badly before and are not started again" in said.err
