"""docker-compose.test.yml names only what exists: keys of Compose, paths, mounts, programs and commands."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
COMPOSE = yaml.safe_load((ROOT / "docker-compose.test.yml").read_text())
SERVICES = COMPOSE["services"]
PROGRAMS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]

#: The keys that we use, as the Compose specification has them, and the type of each.
TOP_LEVEL = {"name": str, "services": dict, "volumes": dict}
SERVICE = {
    "image": str, "init": bool, "environment": dict, "volumes": list, "command": list, "depends_on": dict, "healthcheck": dict,
    "network_mode": str, "pid": str,
}  # fmt: skip
HEALTHCHECK = {"test", "interval", "timeout", "retries"}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
#: Where the containers have the repository: mounted, and copied by tests/compose/install.sh.
IN_CONTAINER = ("/repository", "/srv/nunatak/src")


def _in_repository(path: str) -> Path | None:
    """The file of the repository that a container's path means; None for another place."""
    for place in IN_CONTAINER:
        if path.startswith(f"{place}/"):
            return ROOT / path.removeprefix(f"{place}/")
    return None


def _command_lines() -> list[tuple[str, ...]]:
    """Every command of the file and of the scripts that it runs, continued lines and pipes taken apart."""
    found = [tuple(service["command"]) for service in SERVICES.values()]
    found += [tuple(service["healthcheck"]["test"][1:]) for service in SERVICES.values() if "healthcheck" in service]
    for script in sorted((ROOT / "tests" / "compose").glob("*.sh")):
        for line in re.findall(r"(?:\.venv/bin/|make )[^;'&|\n]*", script.read_text()):
            found.append(tuple(word.replace(".venv/", "/srv/nunatak/src/.venv/", 1) for word in shlex.split(line)))
    return found


def test_only_keys_of_compose_are_used_each_with_its_type():
    ours = {key: value for key, value in COMPOSE.items() if not key.startswith("x-")}
    assert {key for key, value in ours.items() if not isinstance(value, TOP_LEVEL[key])} == set()
    for name, service in SERVICES.items():
        assert {key for key, value in service.items() if not isinstance(value, SERVICE[key])} == set(), name
        assert set(service.get("healthcheck", {})) <= HEALTHCHECK


def test_the_services_that_exist_now_are_described():
    assert set(SERVICES) == {"install", "broker", "run", "flower"}


def test_every_service_that_is_named_by_another_exists():
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        assert {wait["condition"] for wait in service.get("depends_on", {}).values()} <= CONDITIONS
        for key in ("network_mode", "pid"):
            assert service.get(key, "service:broker").removeprefix("service:") in SERVICES
    assert all("healthcheck" in SERVICES[name] for name in _waited_for("service_healthy"))


def _waited_for(condition: str) -> set[str]:
    waits = [item for service in SERVICES.values() for item in service.get("depends_on", {}).items()]
    return {name for name, wait in waits if wait["condition"] == condition}


def test_every_mount_exists_or_is_a_declared_volume():
    for service in SERVICES.values():
        for mount in service["volumes"]:
            source, target, *_mode = mount.split(":")
            assert source in COMPOSE["volumes"] or (ROOT / source).exists(), mount
            assert target.startswith("/"), mount


def test_every_path_is_in_the_repository_or_under_a_mount():
    for service in SERVICES.values():
        targets = [mount.split(":")[1] for mount in service["volumes"]]
        words = [*service["command"], *service["environment"].values()]
        for path in (word for word in words if word.startswith("/")):
            assert any(path.startswith(f"{target}/") for target in targets), path
            ours = _in_repository(path)
            assert ours is None or ours.exists() or ".venv/bin/" in path, path


def test_the_scripts_run_as_they_are():
    scripts = sorted((ROOT / "tests" / "compose").glob("*.sh"))
    assert scripts
    for script in scripts:
        assert os.access(script, os.X_OK), script
        subprocess.run(["bash", "-n", str(script)], check=True)


@pytest.mark.parametrize("command", _command_lines(), ids=" ".join)
def test_every_command_exists(command):
    program, arguments = Path(command[0]).name, list(command[1:])
    if program == "bash":
        script = _in_repository(arguments[0])
        assert script is not None
        assert script.is_file()
    elif program == "make":
        assert re.search(rf"^{arguments[-1]}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif program == "python":
        assert arguments[:2] == ["-I", "-m"]
        assert find_spec(arguments[2]) is not None
    else:
        assert program in PROGRAMS
        _assert_that_our_program_knows(program, [word for word in arguments if not word.startswith("/")])


def _assert_that_our_program_knows(program: str, words: list[str]) -> None:
    command = [Path(sys.executable).parent / program, *words, "--help"]
    known = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert known.returncode == 0, known.stderr
