"""Slurm's words for people, and which of sbatch's errors are a definite no."""

import pytest

from launcher.slurm_queue import STATES
from launcher.slurm_reasons import WAITS, in_words, is_refusal


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Priority", "jobs of higher priority are before it"),
        ("QOSMaxJobsPerUserLimit", "this user has as many jobs running as is allowed"),
        ("AssocGrpBillingMinutes", "its account has used up what it was granted"),
        ("ReqNodeNotAvail, UnavailableNodes:n[1-2]", "reserved (for a maintenance, mostly) (UnavailableNodes:n[1-2])"),
        ("None", ""),
        ("SomethingNewIn2031", "Slurm says: SomethingNewIn2031"),
        ("Nodes required for job are DOWN, DRAINED", "Slurm says: Nodes required for job are DOWN, DRAINED"),
    ],
)
def test_a_waiting_block_says_why_it_waits(reason, words):
    assert in_words("PENDING", reason).endswith(words)


def test_a_waiting_block_without_a_reason_says_nothing():
    assert in_words("PENDING", "None") == ""


def test_a_word_that_we_do_not_know_is_shown():
    assert in_words("SPECIAL_EXIT", "None") == "Slurm says SPECIAL_EXIT, which we do not know"
    assert not any("do not know" in in_words(word, "None") for word in STATES)


def test_the_reasons_are_sentences_without_a_capital_and_a_full_stop():
    assert not [words for words in WAITS.values() if words.endswith(".") or (words[0].isupper() and not words.startswith("Slurm"))]


@pytest.mark.parametrize(
    "said",
    [
        "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
        "sbatch: error: invalid partition specified: nosuch\nsbatch: error: Batch job submission failed: Invalid partition name specified",
        "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy "
        "(job submit limit, user's size and/or time limits)",
        "sbatch: error: Invalid --time specification",
        "sbatch: unrecognized option '--foo'",
        "sbatch: error: Unable to open file /nosuch",
    ],
)
def test_a_definite_no_is_one(said):
    assert is_refusal(said)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
        "sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received",
        "sbatch: error: Batch job submission failed: Unspecified error",
        "sbatch: error: Batch job submission failed: Something new",
        "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying",
        "Segmentation fault",
        "sbatch: error: Batch job submission failed: Unexpected message received\nsbatch: error: Invalid --time specification",
    ],
)
def test_whatever_else_sbatch_says_leaves_open_whether_there_is_a_job(said):
    assert not is_refusal(said)
