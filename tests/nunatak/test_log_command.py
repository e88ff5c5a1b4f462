"""`nunatak log`, and following a file that is written, rotated and truncated."""

import pytest

from nunatak.cli.log import follow_files
from nunatak.following import Follower


def test_it_prints_the_bytes_of_the_latest_attempt(queue, nunatak):
    queue.add("prints", "prints.sh")
    queue.run("prints")
    (queue.folder / "prints.sh.out").write_text("one\ntwo\n")
    said = nunatak("log", "prints.sh")
    assert (said.code, said.out, said.err) == (0, "one\ntwo\n", "")


def test_errors_come_after_it_with_their_file_named_as_words(queue, nunatak):
    queue.add("errs", "errs.sh")
    queue.run("errs")
    (queue.folder / "errs.sh.out").write_text("out\n")
    (queue.folder / "errs.sh.err").write_text("err\n")
    said = nunatak("log", "errs.sh", "--err")
    assert said.out == "out\nerr\n"
    assert f"==> {queue.folder}/errs.sh.err <==" in said.err


def test_an_earlier_attempt_has_its_number(queue, nunatak):
    queue.add("earlier", "earlier.sh")
    queue.fail("earlier")
    queue.run("earlier")
    (queue.folder / "earlier.sh.out.1").write_text("first\n")
    (queue.folder / "earlier.sh.out").write_text("second\n")
    assert nunatak("log", "earlier.sh", "--attempt", "1").out == "first\n"
    assert nunatak("log", "earlier.sh", "--attempt", "2").out == "second\n"
    said = nunatak("log", "earlier.sh", "--attempt", "3")
    assert said.code == 2
    assert "there is no attempt 3" in said.err


def test_the_campaigns_log_folder_is_looked_in(queue, nunatak, tmp_path):
    (tmp_path / "logs").mkdir()
    queue.add("folder", "folder.sh", logs=str(tmp_path / "logs"))
    queue.run("folder")
    (tmp_path / "logs" / "folder.sh.out").write_text("here\n")
    assert nunatak("log", "folder.sh").out == "here\n"


def test_a_jobfile_that_was_never_started_has_no_log(queue, nunatak):
    queue.add("never", "never.sh")
    said = nunatak("log", "never.sh")
    assert said.code == 2
    assert "never started" in said.err


def test_following_ends_when_the_jobfile_has_ended(queue, nunatak):
    queue.add("follow", "follow.sh")
    queue.run("follow")
    (queue.folder / "follow.sh.out").write_text("all\n")
    assert nunatak("log", "follow.sh", "-f").out == "all\n"


def test_following_an_earlier_attempt_is_wrong_use(queue, nunatak):
    queue.add("wrong", "wrong.sh")
    queue.run("wrong")
    assert nunatak("log", "wrong.sh", "-f", "--attempt", "1").code == 2


# -- following --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def got():
    return bytearray()


def test_only_what_is_new_is_passed_on(tmp_path, got):
    path = tmp_path / "x.out"
    follower = Follower(path, got.extend)
    assert not follower.run_once()
    path.write_bytes(b"one ")
    assert follower.run_once()
    with path.open("ab") as out:
        out.write(b"two")
    assert follower.run_once()
    assert not follower.run_once()
    assert bytes(got) == b"one two"


def test_a_rotated_file_is_read_to_its_end_and_then_the_new_one(tmp_path, got):
    path = tmp_path / "x.out"
    path.write_bytes(b"old ")
    follower = Follower(path, got.extend)
    follower.run_once()
    with path.open("ab") as out:
        out.write(b"end ")
    path.rename(tmp_path / "x.out.1")
    path.write_bytes(b"new")
    follower.run_once()
    assert bytes(got) == b"old end new"


def test_a_truncated_file_is_read_from_its_beginning(tmp_path, got):
    path = tmp_path / "x.out"
    path.write_bytes(b"long text ")
    follower = Follower(path, got.extend)
    follower.run_once()
    path.write_bytes(b"short")
    follower.run_once()
    assert bytes(got) == b"long text short"


def test_what_is_written_just_before_the_end_is_not_missed(tmp_path, capfdbinary):
    path = tmp_path / "x.out"
    path.write_bytes(b"begin ")
    ended = iter([False, True])

    def has_ended():
        answer = next(ended)
        if answer:
            with path.open("ab") as out:
                out.write(b"last words")
        return answer

    follow_files([path], has_ended, lambda _: None)
    assert capfdbinary.readouterr().out == b"begin last words"
