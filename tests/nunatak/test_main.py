"""The programs' edge: help, exit codes, one line where others would show a traceback."""

import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from broker.errors import AnotherHome, BrokerBusy, NoServer, QueueFull, Stale
from launcher.errors import BadSite, SubmitFailed
from nunatak import main
from nunatak.commands import TABLE, load
from nunatak.errors import Gone, Interrupted, WrongUse
from nunatak.foreign import ForeignPackage
from tasks.errors import BadRule

NAMES = [name for commands in TABLE.values() for name in commands]
#: Each costs more than our whole `--help`.
HEAVY = ("celery", "flower", "kombu", "parsl", "redis", "rich", "tornado")


def raising(error: BaseException) -> int:
    def program() -> int:
        raise error

    return main.guarded(program)


def program(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-c", "from nunatak.main import main; main()", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environ}, timeout=30)


def test_help_names_every_command_and_imports_nothing_heavy():
    code = f"import sys\nfrom nunatak.main import main\ntry: main()\nfinally: print([m for m in {HEAVY!r} if m in sys.modules])"
    said = subprocess.run([sys.executable, "-I", "-c", code, "--help"], capture_output=True, text=True, check=True, timeout=30).stdout
    assert said.splitlines()[-1] == "[]"
    assert all(f"\n  {name} " in said for name in NAMES)
    assert "Exit codes: 0" in said


@pytest.mark.parametrize("name", NAMES)
def test_a_commands_help_ends_in_an_example_that_calls_it(name):
    said = CliRunner().invoke(load(name), ["--help"], prog_name=f"nunatak {name}").output
    last = said.rstrip().splitlines()[-1].strip()
    assert last.startswith("Example: ")
    assert last.removeprefix("Example: ").startswith((f"nunatak {name}", "enqueue-jobfiles " if name == "enqueue" else "nunatak"))


def test_a_commands_help_does_not_depend_on_the_settings(tmp_path):
    (tmp_path / "config.toml").write_text("not toml")
    assert program("enqueue", "--help", NUNATAK_HOME=str(tmp_path)).returncode == 0
    said = program("enqueue", str(tmp_path), NUNATAK_HOME=str(tmp_path))
    assert said.returncode == 2
    assert said.stderr.startswith(f"Error: {tmp_path}/config.toml:1: not TOML")


def test_an_unknown_command_is_wrong_use_and_names_the_nearest():
    said = program("enqeue")
    assert said.returncode == 2
    assert "did you mean enqueue?" in said.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WrongUse("w"), 2),
        (AnotherHome("w"), 2),
        (BrokerBusy("w"), 2),
        (BadRule("w", "r"), 2),
        (BadSite("f", 1, "w", "r"), 2),
        (ForeignPackage("w"), 2),
        (click.UsageError("w"), 2),
        (click.FileError("w"), 2),
        (Stale("w"), 3),
        (NoServer("w"), 3),
        (QueueFull("w"), 3),
        (SubmitFailed("w"), 3),
        (Gone("w"), 3),
        (Interrupted("w"), 130),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
    ],
)
def test_every_error_of_ours_is_one_line_and_an_exit_code(error, code, capsys):
    assert raising(error) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    assert said.err.count("\n") == 1


def test_a_bug_shows_its_traceback_and_has_an_exit_code_of_its_own(capsys):
    assert raising(KeyError("oh")) == 70
    assert "Traceback" in capsys.readouterr().err


def test_a_name_that_is_not_utf8_does_not_break_the_message(capsys):
    assert raising(WrongUse("caf\udce9")) == 2
    assert "caf�" in capsys.readouterr().err


def test_a_reader_that_has_gone_is_no_error():
    code = "from nunatak.main import main; main()"
    reader = subprocess.Popen(
        [sys.executable, "-I", "-c", code, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert reader.stderr is not None
    reader.stdout.close()
    assert reader.wait(30) == 141
    assert reader.stderr.read() == ""
    reader.stderr.close()


def test_enqueue_jobfiles_is_a_program_of_its_own(tmp_path):
    command = [sys.executable, "-I", "-c", "from nunatak.main import enqueue_jobfiles; enqueue_jobfiles()", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30, cwd=tmp_path)
    assert said.stdout.startswith("Usage: enqueue-jobfiles [OPTIONS] DIR")
