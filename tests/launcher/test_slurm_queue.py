"""squeue's answers: what is read, and what is refused rather than half read."""

import os
import time

import pytest
from launcher_queue_text import HEADER, record

from launcher.block import BlockState
from launcher.slurm_queue import FORMAT, STATES, Garbage, others, parse_queue, row_of


def _rows(*records: str):
    return parse_queue(HEADER + "".join(records))


def test_a_row_says_all_that_we_ask_for():
    (row,) = _rows(record("17", "RUNNING", reason="None", partition="main", start="1795385384", end="1795388984", name="b1"))
    assert (row.job_id, row.word, row.state, row.partition, row.name) == ("17", "RUNNING", BlockState.RUNNING, "main", "b1")
    assert (row.starts_at, row.ends_at) == (1795385384.0, 1795388984.0)


def test_the_format_and_the_header_have_the_same_fields():
    assert FORMAT.count("|") == HEADER.strip().count("|")


def test_a_user_without_jobs_gets_a_header_and_that_is_an_answer():
    assert _rows() == ()


@pytest.mark.parametrize("text", ["", "\n", "   \n\n"])
def test_an_answer_without_even_a_header_is_none(text):
    with pytest.raises(Garbage, match="squeue answered nothing, not even its header"):
        parse_queue(text)


@pytest.mark.parametrize(
    "text",
    [
        "Welcome to the cluster!\n",
        "Welcome!\n" + HEADER,
        HEADER.rstrip("\n"),
        HEADER + "slurm_load_jobs error: Unable to contact slurm controller\n",
        HEADER + record("17", "RUNNING")[:-9],
        HEADER[3:],
        record("17", "RUNNING"),
        HEADER + record("seventeen", "RUNNING"),
        HEADER + record("17", "running at last"),
        HEADER + "<nunatak|17|RUNNING|nunatak>\n",
        "\x00\x01\x02",
    ],
)
def test_garbage_and_half_an_answer_are_refused(text):
    with pytest.raises(Garbage, match="squeue answered"):
        parse_queue(text)


def test_an_answer_that_was_cut_anywhere_is_never_taken_for_a_longer_one():
    whole = HEADER + record("1", "RUNNING", name="b1") + record("2", "PENDING", name="b2")
    for length in range(len(whole)):
        try:
            names = [row.name for row in parse_queue(whole[:length])]
        except Garbage:
            continue
        assert names in ([], ["b1"]), length


def test_other_peoples_odd_names_hide_nothing():
    rows = _rows(record("1", "RUNNING", name="a|b\nc"), record("2", "PENDING", name="b2"), record("3", "RUNNING", name="<nunatak|1|x"))
    assert [row.name for row in rows] == ["a|b\nc", "b2", "<nunatak|1|x"]


def test_a_word_that_is_not_in_our_list_is_unknown_and_never_over():
    (row,) = _rows(record("1", "SPECIAL_EXIT"))
    assert row.state is BlockState.UNKNOWN
    assert "COMPLETED" in STATES
    assert BlockState.UNKNOWN not in STATES.values()


@pytest.mark.parametrize("text", ["N/A", "NONE", "Unknown", ""])
def test_a_time_that_is_not_known_is_none(text):
    (row,) = _rows(record("1", "PENDING", start=text, end=text))
    assert (row.starts_at, row.ends_at) == (None, None)


def test_a_local_time_of_a_slurm_that_knows_no_unix_seconds_is_read(monkeypatch):
    monkeypatch.setenv("TZ", "America/Denver")
    time.tzset()
    try:
        (row,) = _rows(record("1", "RUNNING", start="2026-11-22T22:09:44"))
        assert row.starts_at == 1795410584.0
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "TZ" not in os.environ or os.environ["TZ"] != "America/Denver"


def test_of_two_rows_of_one_name_the_number_decides_then_life_then_youth():
    rows = _rows(record("9", "COMPLETED", name="b1"), record("10", "RUNNING", name="b1"), record("11", "PENDING", name="b1"))
    assert row_of("b1", "9", rows) is rows[0]
    assert row_of("b1", "", rows) is rows[2]
    assert row_of("b1", "", rows[:2]) is rows[1]
    assert row_of("b2", "9", rows) is None


def test_a_number_that_now_belongs_to_another_name_is_not_the_block():
    assert row_of("b1", "9", _rows(record("9", "RUNNING", name="b2"))) is None


def test_jobs_that_are_none_of_the_blocks_are_counted_by_partition():
    rows = _rows(
        record("1", "RUNNING", name="b1", partition="main"),
        record("2", "RUNNING", name="mine", partition="main"),
        record("3", "PENDING", name="mine", partition="main,small"),
        record("4_1", "PENDING", name="array", partition="small"),
        record("5", "COMPLETED", name="mine", partition="old"),
        record("6", "COMPLETING", name="mine", partition="big"),
        record("7", "SPECIAL_EXIT", name="mine", partition="odd"),
    )
    assert others(rows, ["b1"]) == {"main": (1, 1), "small": (0, 2), "big": (1, 0), "odd": (0, 1)}
