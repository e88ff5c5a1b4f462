"""What must not stand in the repository: places of one machine, and the hosts of package registries."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: Folders of one machine or person. Spelled in pieces, so that this file passes its own test.
_FOLDERS = [rb"wo" rb"rk", rb"ro" rb"ot", rb"ho" rb"me/[a-z][\w-]*", rb"Us" rb"ers"]
MACHINE = re.compile(rb"(?<![\w$}~.-])/(?:" + b"|".join(_FOLDERS) + rb")(?![\w-])|\.py" rb"env")
#: Registries are reached by the user's own settings of pip and apt.
_HOSTS = [rb"py" rb"pi\.org", rb"python" rb"hosted\.org", rb"npm" rb"js\.", rb"deb\.deb" rb"ian\.org", rb"--(?:extra-)?index" rb"-url"]
REGISTRY = re.compile(b"|".join(_HOSTS))


def _files() -> list[Path]:
    """What is tracked, or would be by the next `git add`."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"not a git clone, or no git: {error}")
    return [file for name in listed.split(b"\0") if name and (file := ROOT / os.fsdecode(name)).is_file()]


def _hits(pattern: re.Pattern[bytes]) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}:{number}: {line.strip().decode(errors='replace')}"
        for file in _files()
        for number, line in enumerate(file.read_bytes().splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_folder_of_one_machine():
    assert _hits(MACHINE) == []


def test_no_file_names_the_host_of_a_package_registry():
    assert _hits(REGISTRY) == []


@pytest.mark.parametrize("text", ["cd /wo" + "rk/main", "'/ro" + "ot/x'", "/ho" + "me/ann/a"])
def test_a_folder_of_one_machine_is_found(text):
    assert MACHINE.search(text.encode())


@pytest.mark.parametrize("text", ["demo/wo" + "rk/x", "$HO" + "ME/x", "/srv/ho" + "me", "$WO" + "RK/y", "~/ro" + "ot/", "a/wo" + "rk/b"])
def test_other_folders_are_not(text):
    assert not MACHINE.search(text.encode())


def test_scripts_can_be_executed_and_the_licence_is_there():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "Apache License" in (ROOT / "LICENSE").read_text()
