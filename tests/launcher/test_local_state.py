"""What a local block's processes and files mean: the whole table."""

from dataclasses import replace

import pytest

from launcher.block import BlockState
from launcher.local_state import START_S, Facts, judge
from launcher.process import Process, here, is_alive, parse_stat, read_stat

RUNS = Facts(same_host=True, same_boot=True, alive=True, was_started=True, exit_code="-", cancelled=False, age_s=5.0)
GONE = replace(RUNS, alive=False)


@pytest.mark.parametrize(
    ("facts", "state", "reason"),
    [
        (RUNS, BlockState.RUNNING, ""),
        (replace(RUNS, cancelled=True), BlockState.LEAVING, ""),
        (replace(RUNS, exit_code=None), BlockState.RUNNING, ""),
        (replace(GONE, exit_code="0"), BlockState.ENDED, ""),
        (replace(GONE, exit_code="3"), BlockState.FAILED, "its script ended with exit code 3"),
        (replace(GONE, exit_code="143", cancelled=True), BlockState.CANCELLED, ""),
        (GONE, BlockState.FAILED, "it was killed from outside"),
        (replace(GONE, cancelled=True), BlockState.CANCELLED, ""),
        (replace(GONE, same_boot=False), BlockState.FAILED, "the machine was restarted"),
        (replace(GONE, same_boot=False, exit_code="0"), BlockState.ENDED, ""),
        (replace(GONE, was_started=False, exit_code=None), BlockState.INTENDED, "it is being started"),
        (replace(GONE, was_started=False), BlockState.INTENDED, "it is being started"),
        (replace(GONE, was_started=False, exit_code=None, age_s=START_S), BlockState.FAILED, "it was never started"),
        (replace(GONE, same_host=False, same_boot=False), BlockState.UNKNOWN, "it runs on another host: look there"),
        (replace(GONE, same_host=False, same_boot=False, exit_code="0"), BlockState.UNKNOWN, "it runs on another host: look there"),
    ],
)
def test_what_is_seen_of_a_local_block_says_its_state(facts, state, reason):
    assert (judge(facts).state, judge(facts).reason) == (state, reason)


def _stat(pid: int, name: str, state: str, started: int) -> str:
    return f"{pid} ({name}) {state} " + " ".join(["0"] * 18) + f" {started} 0 0\n"


def _proc(folder, text: str):
    (folder / "77").mkdir()
    (folder / "77" / "stat").write_text(text)
    return folder


def test_a_process_with_brackets_and_blanks_in_its_name_is_read():
    stat = parse_stat(_stat(77, "a) R 1 (b", "S", 123))
    assert stat is not None
    assert (stat.pid, stat.state, stat.started) == (77, "S", 123)


@pytest.mark.parametrize("text", ["", "77", "77 (bash) S 1 2", _stat(77, "x", "S", 5).rstrip("\n")])
def test_a_stat_that_is_not_whole_is_not_there(text, tmp_path):
    assert parse_stat(text) is None
    assert read_stat(tmp_path / "none") is None


def test_an_id_that_was_given_to_another_process_is_not_the_block(tmp_path):
    proc = _proc(tmp_path, _stat(77, "bash", "S", 500))
    ours = Process(host="h", boot="b", pid=77, started=500)
    assert is_alive(ours, proc)
    assert not is_alive(replace(ours, started=499), proc)


def test_a_process_that_nobody_has_reaped_is_not_alive(tmp_path):
    assert not is_alive(Process(host="h", boot="b", pid=77, started=500), _proc(tmp_path, _stat(77, "bash", "Z", 500)))


def test_here_is_this_host_and_this_boot():
    assert here() == here()
    assert here().boot
