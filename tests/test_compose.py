"""docker-compose.test.yml is valid Compose and names only what exists: paths, mounts, programs, commands and one another."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest
import yaml
from cluster import user
from cluster.command import ENTRY
from cluster.requirements import PROGRAMS as SLURM_PROGRAMS
from cluster.slurm_cluster import SCRIPTS

ROOT = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.test.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SCHEMA = json.loads((ROOT / "tests" / "compose" / "compose-spec.json").read_text())
DOCKERFILE = ROOT / "tests" / "compose" / "Dockerfile"
OUR_PROGRAMS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
#: Where the image has the repository.
IN_IMAGE = "/srv/nunatak/src/"
#: Programs of every Debian system that the scripts use.
USUAL = {"bash", "sleep", "tail", "mkdir"}
SLURMS = {*SLURM_PROGRAMS, "scontrol"}


def _in_repository(path: str) -> Path:
    return ROOT / path.removeprefix(IN_IMAGE)


def _instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, continued lines joined."""
    lines = re.sub(r"\\\n", " ", DOCKERFILE.read_text()).splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line and not line.startswith("#"))]


def _commands() -> Iterator[tuple[str, ...]]:
    """Every command of the file, of the scripts that it runs, and of the image's making."""
    for service in SERVICES.values():
        yield tuple(service["command"])
        if "healthcheck" in service:
            yield tuple(service["healthcheck"]["test"][1:])
    for script in sorted(ENTRY.glob("*.sh")):
        text = re.sub(r"\\\n", " ", script.read_text())
        for line in re.findall(r"^(?:exec |trap ')?((?:nunatak|munged|slurmctld|slurmd|tail|mkdir) [^;&|'\n]*)", text, re.MULTILINE):
            yield tuple(shlex.split(line))
    for word, rest in _instructions():
        if word == "RUN":
            yield from (tuple(shlex.split(command)) for command in rest.split("&&"))


def test_it_is_valid_compose():
    fastjsonschema.compile(SCHEMA)(COMPOSE)


@pytest.mark.parametrize("wrong", [{"imag": "x"}, {"init": []}, {"healthcheck": {"retries": []}}, {"depends_on": {"a": {"condition": 1}}}])
def test_the_schema_finds_a_wrong_key_or_value(wrong):
    with pytest.raises(fastjsonschema.JsonSchemaException):
        fastjsonschema.compile(SCHEMA)({"services": {"one": wrong}})


def test_the_parts_of_a_cluster_are_described():
    assert set(SERVICES) == {"ctl", "n1", "n2", "login", "broker", "flower"}
    assert {name for name, service in SERVICES.items() if service["hostname"] != name} == set()


def test_every_service_that_is_waited_for_exists_and_says_when_it_is_healthy():
    waits = [wait for service in SERVICES.values() for wait in service.get("depends_on", {}).items()]
    assert waits
    for name, wait in waits:
        assert wait["condition"] == "service_healthy"
        assert "healthcheck" in SERVICES[name]


def test_every_mount_is_a_declared_volume_at_the_users_home():
    for service in SERVICES.values():
        for mount in service["volumes"]:
            source, target = mount.split(":")
            assert source in COMPOSE["volumes"]
            assert f"--home-dir {target} " in DOCKERFILE.read_text()


def test_every_path_of_a_command_is_in_the_repository():
    paths = [word for service in SERVICES.values() for word in service["command"] if word.startswith("/")]
    assert paths
    for path in paths:
        assert path.startswith(IN_IMAGE)
        assert _in_repository(path).is_file(), path


def test_the_image_is_made_from_what_is_there():
    for service in SERVICES.values():
        assert (ROOT / service["build"]["context"]).resolve() == ROOT
        assert (ROOT / service["build"]["dockerfile"]).samefile(DOCKERFILE)
    assert [rest for word, rest in _instructions() if word == "COPY"] == [f". {IN_IMAGE.rstrip('/')}"]
    assert f"--uid {user.UID} " in DOCKERFILE.read_text()
    assert {service.get("user", user.NAME) for service in SERVICES.values()} == {user.NAME}
    ignored = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().split()
    assert {".git", ".venv", ".cluster"} <= set(ignored)


def test_the_services_run_the_scripts_that_the_test_cluster_runs():
    ours = {Path(service["command"][1]).name for service in SERVICES.values()}
    assert set(SCRIPTS.values()) <= ours
    assert ours | {"munge.sh"} == {script.name for script in ENTRY.glob("*.sh")}


def test_the_scripts_run_as_they_are():
    for script in ENTRY.glob("*.sh"):
        assert os.access(script, os.X_OK), script
        subprocess.run(["bash", "-n", str(script)], check=True)


def test_the_image_installs_the_packages_that_the_test_cluster_needs():
    installed = next(command for command in _commands() if command[:2] == ("apt-get", "install"))
    assert set(SLURM_PROGRAMS.values()) - {"bash", "util-linux"} <= set(installed)


@pytest.mark.parametrize("command", sorted(set(_commands())), ids=" ".join)
def test_every_command_exists(command):
    words = [word for word in command if not re.match(r"\w+=", word)]
    program, arguments = words[0], words[1:]
    if program == "bash":
        assert _in_repository(arguments[0]).is_file()
    elif program == "make":
        assert re.search(rf"^{arguments[-1]}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif program == "python":
        module = arguments[arguments.index("-m") + 1]
        assert (ROOT / "tests" / f"{module.replace('.', '/')}.py").is_file()
    elif program in OUR_PROGRAMS:
        _assert_that_our_program_knows(program, arguments)
    else:
        assert program in SLURMS | USUAL | {"apt-get", "rm", "chown", "useradd"}


def _assert_that_our_program_knows(program: str, words: list[str]) -> None:
    command = [Path(sys.executable).parent / program, *words, "--help"]
    known = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert known.returncode == 0, known.stderr
