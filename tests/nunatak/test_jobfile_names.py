"""What a user may call a jobfile."""

import os
from pathlib import Path

import pytest

from nunatak.jobfile_names import JobfileNames, UnknownJobfile, close_names


@pytest.fixture
def names(queue):
    return JobfileNames(queue.broker.client)


def test_an_absolute_path_is_the_jobfile(queue, names):
    queue.add("absolute", "abs_1.sh")
    assert names.find(f"{queue.folder}/abs_1.sh").name == "abs_1.sh"


def test_a_relative_path_is_the_jobfile(queue, names, monkeypatch):
    queue.add("relative", "rel_1.sh")
    monkeypatch.chdir(queue.folder.parent)
    assert names.find(f"{queue.folder.name}/rel_1.sh").path == f"{queue.folder}/rel_1.sh"


def test_a_path_through_a_link_to_the_directory_is_the_jobfile(queue, names, tmp_path):
    queue.add("linked", "link_1.sh")
    (tmp_path.parent / f"{tmp_path.name}-link").symlink_to(queue.folder)
    assert names.find(f"{tmp_path.parent}/{tmp_path.name}-link/link_1.sh").path == f"{queue.folder}/link_1.sh"


def test_a_name_in_the_working_directory_wins_over_the_same_name_elsewhere(queue, names, monkeypatch, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        queue.folder = folder
        queue.add(f"twice-{folder.name}", "twice.sh")
    monkeypatch.chdir(here)
    assert names.find("twice.sh").path == f"{here}/twice.sh"


def test_a_bare_name_is_found_from_anywhere_also_if_others_begin_with_it(queue, names, monkeypatch):
    queue.add("bare", "bare_1", "bare_10")
    monkeypatch.chdir("/")
    assert names.find("bare_1").name == "bare_1"


def test_a_beginning_that_only_one_has_is_enough(queue, names):
    queue.add("begin", "begin_alpha.sh", "begin_beta.sh")
    assert names.find("begin_a").name == "begin_alpha.sh"


def test_a_beginning_that_several_have_names_them(queue, names):
    queue.add("several", *(f"several_{i}.sh" for i in range(8)))
    with pytest.raises(UnknownJobfile, match=r"(?s)several_0\.sh.*\(8 in all\)"):
        names.find("several_")


def test_a_name_that_nobody_has_names_close_ones(queue, names):
    queue.add("close", "qsub_WV01_20150610.sh")
    with pytest.raises(UnknownJobfile, match=r"did you mean qsub_WV01_20150610\.sh"):
        names.find("qsub_WV01_20160510.sh")


def test_a_path_that_was_never_enqueued_is_named_as_it_was_understood(names, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownJobfile, match=f"{os.path.realpath(tmp_path)}/no/such.sh"):
        names.find("no/such.sh")


def test_a_jobfile_named_twice_is_meant_once(queue, names):
    queue.add("once", "once_1.sh")
    assert len(names.find_all([f"{queue.folder}/once_1.sh", "once_1.sh"])) == 1


def test_close_names_of_a_large_campaign_are_found_without_comparing_all():
    many = [f"qsub_{i:06d}.sh" for i in range(20_000)]
    assert close_names("qsub_012345.sb", many)[0] == "qsub_012345.sh"


def test_the_command_ends_with_wrong_use(queue, nunatak):
    queue.add("wrong", "wrong_1.sh")
    said = nunatak("show", str(Path("/nowhere/wrong_1.sh")))
    assert said.code == 2
    assert "wrong_1.sh" in said.err
