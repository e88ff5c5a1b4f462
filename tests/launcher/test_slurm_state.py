"""What Slurm's answer and a block's own files mean: the whole table."""

from dataclasses import replace

import pytest

from launcher.block import Block, BlockState
from launcher.sighting import Sighting, after
from launcher.slurm_files import Ended, Started, read_ended, read_started
from launcher.slurm_queue import Row
from launcher.slurm_state import MISSING_S, Facts, judge

NOW = 10_000.0
BLOCK = Block(block_id="b1", site="s", provider="slurm", state=BlockState.RUNNING, job_id="7", submitted_at=9000.0)
ROW = Row(job_id="7", word="RUNNING", reason="None", partition="main", starts_at=9100.0, ends_at=12_700.0, name="b1")
LACKS = Facts(block=BLOCK, row=None, healthy=True, started=None, ended=None, forgotten=False, now=NOW)
SEEN = replace(LACKS, row=ROW)
SILENT = replace(LACKS, healthy=False)
WELL = Ended(exit_code=0, ended_at=9900.0, bad_nodes=())
BADLY = Ended(exit_code=3, ended_at=9900.0, bad_nodes=("n1:3", "n2:3"))


def _row(word: str, **changes: object) -> Facts:
    return replace(SEEN, row=replace(ROW, word=word, **changes))


def _of(facts: Facts, **changes: object) -> Facts:
    return replace(facts, block=replace(facts.block, **changes))


def _cancelled(facts: Facts) -> Facts:
    return _of(facts, cancelled_at=9500.0, state=BlockState.LEAVING)


@pytest.mark.parametrize(
    ("facts", "state", "reason"),
    [
        (SEEN, BlockState.RUNNING, ""),
        (_row("PENDING", reason="Priority"), BlockState.WAITING, "jobs of higher priority are before it"),
        (_row("CONFIGURING"), BlockState.WAITING, "its nodes are being made ready"),
        (_row("SUSPENDED"), BlockState.RUNNING, "Slurm has suspended it"),
        (_row("COMPLETING"), BlockState.LEAVING, "Slurm tidies its nodes up"),
        (_row("SPECIAL_EXIT"), BlockState.UNKNOWN, "Slurm says SPECIAL_EXIT, which we do not know"),
        (_row("COMPLETED"), BlockState.ENDED, ""),
        (_row("TIMEOUT"), BlockState.ENDED, "its walltime was over"),
        (replace(_row("TIMEOUT"), ended=BADLY), BlockState.ENDED, "its walltime was over"),
        (_row("FAILED"), BlockState.FAILED, "its script ended badly"),
        (replace(_row("FAILED"), ended=BADLY), BlockState.FAILED, "n1 ended with exit code 3, n2 ended with exit code 3"),
        (_row("NODE_FAIL"), BlockState.FAILED, "Slurm lost its nodes"),
        (_row("PREEMPTED"), BlockState.FAILED, "another job took its nodes"),
        (_row("CANCELLED"), BlockState.CANCELLED, "it was cancelled, but not by nunatak"),
        (_cancelled(_row("CANCELLED")), BlockState.CANCELLED, ""),
        (_cancelled(_row("NODE_FAIL")), BlockState.CANCELLED, ""),
        (_cancelled(SEEN), BlockState.LEAVING, ""),
        # Its own end file is an end, whatever Slurm says or does not say.
        (replace(SEEN, ended=WELL), BlockState.ENDED, ""),
        (replace(SILENT, ended=WELL), BlockState.ENDED, ""),
        (replace(LACKS, ended=WELL), BlockState.ENDED, ""),
        (replace(LACKS, ended=replace(BADLY, bad_nodes=())), BlockState.FAILED, "its script ended with exit code 3"),
        (replace(LACKS, ended=replace(WELL, bad_nodes=("n3:137",))), BlockState.ENDED, "n3 ended with exit code 137"),
        (_cancelled(replace(LACKS, ended=BADLY)), BlockState.CANCELLED, ""),
        (_of(replace(LACKS, ended=BADLY), ends_at=9890.0), BlockState.ENDED, "its walltime was over"),
        (_of(replace(_row("COMPLETING"), ended=WELL), ends_at=9900.0), BlockState.ENDED, "its walltime was over"),
        # Silence changes nothing.
        (SILENT, BlockState.RUNNING, ""),
        (_of(SILENT, state=BlockState.INTENDED, job_id=""), BlockState.INTENDED, ""),
        # Nor does an answer that lacks it, but that it is not known.
        (_of(LACKS, state=BlockState.INTENDED, job_id=""), BlockState.INTENDED, ""),
        (_of(LACKS, state=BlockState.UNKNOWN, job_id="", reason="sbatch did not answer"), BlockState.UNKNOWN, "sbatch did not answer"),
    ],
)
def test_what_is_said_of_a_slurm_block_says_its_state(facts, state, reason):
    assert (judge(facts).state, judge(facts).reason) == (state, reason)


@pytest.mark.parametrize("state", [BlockState.WAITING, BlockState.RUNNING, BlockState.LEAVING, BlockState.UNKNOWN])
def test_a_block_that_a_healthy_answer_lacks_is_unknown_and_never_over(state):
    seen = judge(_of(LACKS, state=state))
    assert (seen.state, seen.mentioned) == (BlockState.UNKNOWN, False)
    assert "squeue has not mentioned it since" in seen.reason


def test_ten_minutes_without_a_mention_are_no_end_unless_slurm_says_that_it_has_no_such_job():
    long = _of(LACKS, missing_since=NOW - MISSING_S)
    assert judge(long).state is BlockState.UNKNOWN
    over = judge(replace(long, forgotten=True))
    assert (over.state, over.reason) == (BlockState.FAILED, "Slurm knows it no more, and it has not said how it ended")
    assert judge(_cancelled(replace(long, forgotten=True))).state is BlockState.CANCELLED


def test_slurms_forgetting_is_no_end_before_ten_minutes():
    assert judge(replace(_of(LACKS, missing_since=NOW - MISSING_S + 1), forgotten=True)).state is BlockState.UNKNOWN


def test_a_forgotten_block_whose_time_was_over_has_ended_well():
    over = judge(replace(_of(LACKS, missing_since=NOW - MISSING_S, ends_at=NOW - 900), forgotten=True))
    assert (over.state, over.reason, over.ended_at) == (BlockState.ENDED, "its walltime was over", NOW - 900)


@pytest.mark.parametrize("state", [BlockState.INTENDED, BlockState.UNKNOWN])
def test_an_intent_counts_until_healthy_answers_have_lacked_its_name_for_ten_minutes(state):
    nameless = _of(LACKS, state=state, job_id="", reason="sbatch hung", missing_since=NOW - MISSING_S + 1)
    assert judge(nameless).state is state
    over = judge(_of(nameless, missing_since=NOW - MISSING_S))
    assert (over.state, over.reason) == (BlockState.FAILED, "it was never submitted: sbatch hung")


def test_silence_begins_the_ten_minutes_anew():
    block = replace(BLOCK, missing_since=NOW - 500)
    assert after(block, judge(replace(SILENT, block=block)), NOW).missing_since is None
    assert after(block, judge(replace(LACKS, block=block)), NOW).missing_since == NOW - 500
    assert after(BLOCK, judge(LACKS), NOW).missing_since == NOW


def test_an_intent_that_is_found_by_its_name_gets_its_number_and_its_times():
    found = after(replace(BLOCK, state=BlockState.INTENDED, job_id=""), judge(SEEN), NOW)
    assert (found.state, found.job_id, found.started_at, found.ends_at) == (BlockState.RUNNING, "7", 9100.0, 12_700.0)
    assert (found.seen_at, found.missing_since) == (NOW, None)


def test_a_block_that_came_back_after_it_was_given_up_for_missing_is_running_again():
    lost = after(BLOCK, judge(LACKS), NOW)
    assert after(lost, judge(replace(SEEN, block=lost)), NOW + 60).state is BlockState.RUNNING


def test_its_own_script_tells_the_number_when_nobody_else_does():
    started = Started(job_id="7", host="n1", started_at=9105.0, ends_at=12_705.0)
    seen = judge(replace(_of(SILENT, state=BlockState.INTENDED, job_id=""), started=started))
    assert (seen.job_id, seen.started_at, seen.ends_at, seen.state) == ("7", 9105.0, 12_705.0, BlockState.INTENDED)


def test_the_guess_when_a_waiting_block_may_start_is_no_start():
    assert judge(_row("PENDING", starts_at=11_000.0)).started_at is None


def test_a_block_that_was_cancelled_while_it_waited_never_started_and_costs_nothing():
    seen = judge(_cancelled(_row("CANCELLED", starts_at=9600.0, ends_at=9600.0)))
    block = after(replace(BLOCK, su_per_node_hour=1.0, least_charged_s=900.0), seen, NOW)
    assert (block.started_at, block.ended_at, block.su(NOW)) == (None, 9600.0, 0.0)


def test_the_same_block_is_the_same_object_when_nothing_is_new():
    assert after(BLOCK, Sighting(state=BlockState.RUNNING), NOW) is BLOCK


def test_what_is_over_stays_over():
    over = replace(BLOCK, state=BlockState.FAILED, ended_at=9950.0, reason="x")
    assert after(over, Sighting(state=BlockState.RUNNING), NOW).state is BlockState.FAILED


def test_half_a_file_says_nothing(tmp_path):
    assert (read_started(tmp_path), read_ended(tmp_path)) == (None, None)
    (tmp_path / "started").write_text("job_id=\nhost=n1\n")
    (tmp_path / "ended").write_text("exit_code=0\n")
    assert (read_started(tmp_path), read_ended(tmp_path)) == (None, None)
    (tmp_path / "ended").write_text("exit_code=0\nended_at=9900\nbad_nodes=n1:3 n2:137\n")
    assert read_ended(tmp_path) == Ended(exit_code=0, ended_at=9900.0, bad_nodes=("n1:3", "n2:137"))
