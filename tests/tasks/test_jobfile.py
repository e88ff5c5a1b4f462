"""Reading a jobfile: what is accepted, and that each thing that cannot run is refused with its line and a remedy that works."""

import errno
import os
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.jobfile import (
    MAX_BYTES,
    BadJobfile,
    JobfileGone,
    JobfileOptions,
    JobfileUnreadable,
    argv,
    read_jobfile,
    shell_word,
)


def write(folder: Path, text: bytes, name: str = "a.sh") -> Path:
    path = folder / name
    path.write_bytes(text)
    return path


def refused(path: Path) -> BadJobfile:
    with pytest.raises(BadJobfile) as caught:
        read_jobfile(path)
    return caught.value


def test_a_jobfile_without_shebang_or_execute_bit_is_run_by_bash(tmp_path: Path) -> None:
    jobfile = read_jobfile(write(tmp_path, b"echo ok\n"))
    assert argv(jobfile) == ("/bin/bash", str(tmp_path / "a.sh"))
    assert subprocess.run(argv(jobfile), capture_output=True, check=True).stdout == b"ok\n"


@pytest.mark.parametrize(
    ("shebang", "interpreter"),
    [
        (b"#!/bin/bash", ("/bin/bash",)),
        (b"#! /bin/sh -eu", ("/bin/sh", "-eu")),
        (b"#!/usr/bin/env -S bash -e", ("/usr/bin/env", "-S bash -e")),
        (b"#!\t/bin/bash  -e -u \t", ("/bin/bash", "-e -u")),
    ],
)
def test_a_shebang_is_a_program_and_at_most_one_argument(tmp_path: Path, shebang: bytes, interpreter: tuple[str, ...]) -> None:
    assert read_jobfile(write(tmp_path, shebang + b"\necho ok\n")).interpreter == interpreter


@pytest.mark.parametrize(
    ("shebang", "reason"),
    [
        (b"#!", "names no program"),
        (b"#!bash", "is not a whole path"),
        (b"#!/no/such/bash", "'/no/such/bash' does not exist"),
        (b"#!/etc", "cannot be executed"),
        (b"#!/etc/passwd", "cannot be executed"),
        (b"#!/bin/bash " + b"x" * 250, "longer than the 255 bytes"),
    ],
)
def test_a_shebang_that_cannot_be_obeyed_is_refused(tmp_path: Path, shebang: bytes, reason: str) -> None:
    error = refused(write(tmp_path, shebang + b"\necho ok\n"))
    assert error.line == 1
    assert reason in error.reason
    assert "#!/bin/bash" in error.remedy


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (b"", None, "is empty"),
        (b"\n \n", None, "is empty"),
        (b"\x7fELF\x02\x01\0\0", 1, "binary"),
        (b"#!/bin/bash\necho\n\0\n", 3, "binary"),
        (b"#!/bin/bash\r\necho ok\r\n", 1, "Windows line ends"),
        (b"#!/bin/bash\necho\n" + b"true\n" * 20000 + b"echo ok\r\n", 20003, "Windows line ends"),
        (b"#!/bin/bash\necho ok\r", 2, "Windows line ends"),
        (b"#!/bin/bash\recho ok\r", 1, "Macintosh line ends"),
        (b"\xef\xbb\xbf#!/bin/bash\necho ok\n", 1, "byte order mark"),
        (b"#!/bin/bash\n#NUNATAK walltme=11h\necho ok\n", 2, "did you mean time"),
        (b"x" * (MAX_BYTES + 1), None, "4.0 MB or more"),
    ],
)
def test_a_text_that_cannot_run_is_refused_with_its_line(tmp_path: Path, text: bytes, line: int | None, reason: str) -> None:
    error = refused(write(tmp_path, text))
    assert error.line == line
    assert reason in error.reason
    assert str(error).startswith(f"{tmp_path}/a.sh:")


@pytest.mark.parametrize("name", ["a.sh", "it's $HOME.sh", "ünïcode.sh", os.fsdecode(b"latin1_\xfc'\\.sh"), "new\nline.sh"])
@pytest.mark.parametrize("text", [b"#!/bin/bash\r\necho ok\r\n", b"#!/bin/bash\recho ok\r", b"\xef\xbb\xbf#!/bin/bash\necho ok\n"])
def test_the_remedy_for_bad_line_ends_can_be_pasted_and_works(tmp_path: Path, name: str, text: bytes) -> None:
    path = write(tmp_path, text, name)
    remedy = refused(path).remedy
    assert remedy.startswith("try: sed -i '")
    subprocess.run(["/bin/bash", "-c", remedy.removeprefix("try: ")], check=True)
    assert path.read_bytes() == b"#!/bin/bash\necho ok\n"
    assert read_jobfile(path).interpreter == ("/bin/bash",)


def test_a_carriage_return_within_a_line_is_meant(tmp_path: Path) -> None:
    assert read_jobfile(write(tmp_path, b"printf 'a\rb'\n")).warnings == ()


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)  # A socket's path is limited to 107 bytes.
        listener.bind("socket")
        reasons = {name: refused(tmp_path / name).reason for name in ("fifo", "folder", "dangling", "socket")}
    assert reasons == {
        "fifo": "is a named pipe",
        "folder": "is a directory",
        "dangling": "is a link to a file that is not there",
        "socket": "is a socket",
    }
    assert refused(Path("/dev/null")).reason == "is a device"


def test_a_jobfile_is_gone_only_if_its_directory_is_still_there(tmp_path: Path) -> None:
    assert isinstance(refused(tmp_path / "a.sh"), JobfileGone)
    elsewhere = refused(tmp_path / "unmounted" / "a.sh")
    assert isinstance(elsewhere, JobfileUnreadable)
    assert "on this host" in elsewhere.reason


@pytest.mark.parametrize(("number", "remedy"), [(errno.EACCES, "try: chmod u+r /d/a.sh"), (errno.ESTALE, "try: ls -l /d/a.sh")])
def test_a_jobfile_that_the_filesystem_refuses_is_unreadable(monkeypatch: pytest.MonkeyPatch, number: int, remedy: str) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    error = refused(Path("/d/a.sh"))
    assert isinstance(error, JobfileUnreadable)
    assert os.strerror(number) in error.reason
    assert error.remedy == remedy


def test_a_fingerprint_follows_the_text_and_nothing_else(tmp_path: Path) -> None:
    first = read_jobfile(write(tmp_path, b"echo ok\n"))
    (tmp_path / "a.sh").chmod(0o700)
    assert read_jobfile(write(tmp_path, b"echo ok\n", "b.sh")).fingerprint == first.fingerprint
    assert read_jobfile(write(tmp_path, b"echo OK\n")).fingerprint != first.fingerprint
    assert len(first.fingerprint) == 32


def test_options_and_hints_are_taken_from_the_header(tmp_path: Path) -> None:
    jobfile = read_jobfile(write(tmp_path, b"#!/bin/bash\n#SBATCH --time=11:00:00\n#NUNATAK priority=7\necho ok\n"))
    assert jobfile.options == JobfileOptions(priority=7)
    assert jobfile.hints.time_s == 39600


@pytest.mark.parametrize("command", ["srun", "ibrun", "mpirun", "mpiexec", "sbatch", "ssh", "docker"])
@pytest.mark.parametrize("line", ["{} x", "time /usr/bin/{} x", "cd d && {} x", "out=$({} x)", "{}", "true;{}&"])
def test_a_command_that_leaves_the_jobfiles_reach_is_warned_of(tmp_path: Path, command: str, line: str) -> None:
    warnings = read_jobfile(write(tmp_path, f"#!/bin/bash\n{line.format(command)}\n{command} again\n".encode())).warnings
    assert len(warnings) == 1
    assert warnings[0].startswith(f"line 2: {command}: ")


@pytest.mark.parametrize(
    "line", ["# srun x", "echo ok # then srun x", "./srun_all x", "cat .ssh/x", "cp my-docker x", "MPI=mpirun", "$srun x", "dossh x"]
)
def test_a_comment_or_a_part_of_a_word_is_not_warned_of(tmp_path: Path, line: str) -> None:
    assert read_jobfile(write(tmp_path, f"#!/bin/bash\n{line}\n".encode())).warnings == ()


@given(st.binary(min_size=1, max_size=40).filter(lambda raw: b"\0" not in raw))
def test_a_shell_reads_a_quoted_path_as_itself(raw: bytes) -> None:
    word = shell_word(Path(os.fsdecode(b"/" + raw)))
    assert word.isprintable()  # so that it can be copied from a screen
    shown = subprocess.run(["/bin/bash", "-c", f"printf %s {word}"], capture_output=True, check=True).stdout
    assert shown == os.fsencode(Path(os.fsdecode(b"/" + raw)))


@given(st.binary(max_size=300))
def test_any_content_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    path = write(tmp_path_factory.getbasetemp(), text, "any.sh")
    try:
        read_jobfile(path)
    except BadJobfile as error:
        assert error.remedy  # noqa: PT017 - many texts raise nothing
