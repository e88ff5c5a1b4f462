"""Reading a directory: what is found, in which order, what is refused and with which way out."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nunatak import directory as module
from nunatak.directory import BadDirectory, Rejected, already_done, find_done, misfits, scan
from tasks.done_rule import DoneRule


def write(folder: Path, *names: str, text: str = "echo ok\n") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(text)


def names(folder: Path, pattern: str = "qsub*.sh") -> list[str]:
    return [jobfile.path.name for jobfile in scan(folder, pattern).good]


def test_jobfiles_are_found_by_the_pattern_in_the_order_of_names(tmp_path: Path) -> None:
    write(tmp_path, "qsub_b.sh", "qsub_a.sh", "qsub_B.sh", "other.sh", "qsub_a.sh.out", ".qsub_a.sh", "QSUB_c.sh")
    write(tmp_path / "below", "qsub_c.sh")
    assert names(tmp_path) == ["qsub_B.sh", "qsub_a.sh", "qsub_b.sh"]
    assert names(tmp_path, "*.sh") == ["QSUB_c.sh", "other.sh", "qsub_B.sh", "qsub_a.sh", "qsub_b.sh"]
    assert names(tmp_path, "qsub_[ab].sh") == ["qsub_a.sh", "qsub_b.sh"]
    assert names(tmp_path, ".qsub*") == [".qsub_a.sh"]


def test_our_logs_beside_a_jobfile_are_no_jobfiles(tmp_path: Path) -> None:
    write(tmp_path, "qsub_a.sh", "qsub_a.sh.out", "qsub_a.sh.err", "qsub_a.sh.out.1", "qsub_b.sh.out.12", "qsub_c.err")
    assert names(tmp_path, "qsub*") == ["qsub_a.sh", "qsub_b.sh.out.12", "qsub_c.err"]


def test_a_directory_is_known_by_its_real_path_and_a_jobfile_by_its_name_there(tmp_path: Path) -> None:
    write(tmp_path / "real", "a.sh", text="echo other\n")
    write(tmp_path / "jobs", "qsub_a.sh")
    (tmp_path / "jobs" / "qsub_link.sh").symlink_to(tmp_path / "real" / "a.sh")
    (tmp_path / "link").symlink_to("jobs")
    found = scan(tmp_path / "link")
    assert found.directory == (tmp_path / "jobs").resolve()
    assert [j.path for j in found.good] == [found.directory / "qsub_a.sh", found.directory / "qsub_link.sh"]


def test_a_relative_directory_gives_absolute_jobfiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "qsub_a.sh")
    monkeypatch.chdir(tmp_path)
    assert scan(Path(".")).good[0].path == tmp_path.resolve() / "qsub_a.sh"


def test_what_cannot_run_is_rejected_with_its_line_and_remedy_and_the_rest_is_good(tmp_path: Path) -> None:
    write(tmp_path, "qsub_a.sh")
    (tmp_path / "qsub_crlf it.sh").write_bytes(b"#!/bin/bash\r\n")
    (tmp_path / "qsub_dir.sh").mkdir()
    (tmp_path / "qsub_gone.sh").symlink_to("nowhere")
    (tmp_path / "qsub_loop.sh").symlink_to("qsub_loop.sh")
    found = scan(tmp_path)
    assert [j.path.name for j in found.good] == ["qsub_a.sh"]
    assert found.rejected == (
        Rejected(
            file=tmp_path / "qsub_crlf it.sh",
            line=1,
            reason="has Windows line ends (CR LF)",
            remedy=f"try: sed -i 's/\\r$//' '{tmp_path}/qsub_crlf it.sh'",
        ),
        Rejected(
            file=tmp_path / "qsub_dir.sh",
            line=None,
            reason="is a directory",
            remedy="a jobfile is a regular file; choose others with --pattern",
        ),
        Rejected(
            file=tmp_path / "qsub_gone.sh",
            line=None,
            reason="is a link to a file that is not there",
            remedy=f"try: ls -l {tmp_path}/qsub_gone.sh",
        ),
        Rejected(
            file=tmp_path / "qsub_loop.sh",
            line=None,
            reason="cannot be read: Too many levels of symbolic links",
            remedy=f"try: ls -l {tmp_path}/qsub_loop.sh",
        ),
    )
    assert str(found.rejected[0]).startswith(f"{tmp_path}/qsub_crlf it.sh:1: has Windows")


def message(call: Callable[[], object]) -> str:
    with pytest.raises(BadDirectory) as caught:
        call()
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_directory_where_nothing_matches_says_how_many_scripts_there_are(tmp_path: Path) -> None:
    write(tmp_path, "a.sh", "b.sh", "c.txt")
    said = message(lambda: scan(tmp_path))
    assert said == f"no name in {tmp_path} matches 'qsub*.sh'; 2 *.sh here, use --pattern '*.sh'"


def test_a_directory_of_directories_names_one_of_them(tmp_path: Path) -> None:
    write(tmp_path / "50cm", "qsub_a.sh")
    write(tmp_path / "2m x", "qsub_a.sh")
    said = message(lambda: scan(tmp_path))
    assert "0 *.sh here, use --pattern" in said
    assert said.endswith(f"give one of the 2 directories below, such as '{tmp_path}/2m x'")


def test_an_empty_directory_says_so(tmp_path: Path) -> None:
    assert message(lambda: scan(tmp_path)).endswith("0 *.sh here, use --pattern; 0 files are here in all")


def test_a_directory_that_is_missing_or_none_is_refused_with_the_next_step(tmp_path: Path) -> None:
    write(tmp_path, "file")
    (tmp_path / "loop").symlink_to("loop")
    missing = message(lambda: scan(tmp_path / "no" / "such"))
    assert missing == f"{tmp_path}/no/such does not exist; {tmp_path} does: see what it holds with: ls {tmp_path}"
    assert "is no directory" in message(lambda: scan(tmp_path / "file"))
    assert "cannot be read" in message(lambda: scan(tmp_path / "loop"))
    assert "holds a '/'" in message(lambda: scan(tmp_path, "*/qsub*.sh"))


def test_a_directory_that_may_not_be_listed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    assert message(lambda: scan(tmp_path)) == f"{tmp_path} cannot be read: Permission denied; try: ls -ld {tmp_path}"


def test_a_header_rule_holds_over_the_campaigns(tmp_path: Path) -> None:
    write(tmp_path, "qsub_a.sh")
    write(tmp_path, "qsub_b.sh", text="#NUNATAK done={stem}.own\necho ok\n")
    write(tmp_path, "qsub_a.tif", "qsub_b.tif", text="x")
    jobfiles, rule = scan(tmp_path).good, DoneRule.parse("{stem}.tif")
    assert [already_done(j, rule) for j in jobfiles] == [True, False]
    write(tmp_path, "qsub_b.own", text="x")
    assert find_done(jobfiles, rule) == jobfiles
    assert [already_done(j, DoneRule.parse("exit-code")) for j in jobfiles] == [False, True]


def test_jobfiles_that_a_rule_does_not_fit_or_does_not_tell_apart_are_rejected(tmp_path: Path) -> None:
    write(tmp_path, "qsub_aa.sh", "qsub_ab.sh", "other.sh", "sb.sh")
    jobfiles = scan(tmp_path, "*.sh").good
    bad = {r.file.name: r.reason for r in misfits(jobfiles, DoneRule.parse("{stem:qsub_=[:1]}.tif"))}
    assert bad == {
        "other.sh": "the done rule is for names that begin with 'qsub_', and this one is 'other'",
        "qsub_ab.sh": "its done rule names the same outputs as for qsub_aa.sh",
        "sb.sh": "the done rule is for names that begin with 'qsub_', and this one is 'sb'",
    }
    assert misfits(jobfiles, DoneRule.parse("{stem}.tif")) == ()
    assert misfits(jobfiles, DoneRule.parse("exit-code")) == ()


def test_a_jobfile_that_cannot_be_looked_at_counts_as_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "qsub_a.sh")
    jobfiles = scan(tmp_path).good

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(os, "stat", refuse)
    assert find_done(jobfiles, DoneRule.parse("{stem}.tif")) == ()


@pytest.mark.parametrize("wait_s", [0.0, 0.002])
def test_answers_keep_their_order_with_and_without_threads(monkeypatch: pytest.MonkeyPatch, wait_s: float) -> None:
    monkeypatch.setattr(module, "_PIECE", 7)

    def work(number: int) -> int:
        time.sleep(wait_s)  # Stands for a filesystem that takes its time.
        return number * 2

    for count in (0, 1, 7, 8, 100):
        assert module._look_at_all(work, range(count)) == [number * 2 for number in range(count)]


RAW = st.binary(min_size=1, max_size=30).filter(lambda raw: not set(raw) & set(b"\0/"))


@given(st.sets(RAW, min_size=1, max_size=5))
def test_any_names_are_found_whatever_their_bytes(tmp_path_factory: pytest.TempPathFactory, raw: set[bytes]) -> None:
    folder = tmp_path_factory.mktemp("any")
    wanted = {b"qsub_" + name + b".sh" for name in raw}
    for name in wanted:
        (folder / os.fsdecode(name)).write_text("echo ok\n")
    assert {os.fsencode(j.path.name) for j in scan(folder).good} == wanted
