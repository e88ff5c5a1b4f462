"""Python and the packages that this installation needs."""

from collections.abc import Iterator
from dataclasses import dataclass

from nunatak.doctor.finding import Finding, bad, ok

OLDEST = (3, 11)


@dataclass(frozen=True, kw_only=True)
class Needed:
    """One package that we require, and what is installed."""

    #: As in our own requirements: "redis>=8.1,<9".
    requirement: str
    #: Its version; empty: not installed.
    found: str
    is_met: bool


@dataclass(frozen=True, kw_only=True)
class Python:
    """The Python that runs this."""

    version: tuple[int, int, int]
    executable: str
    needed: tuple[Needed, ...]


def judge_python(python: Python) -> Iterator[Finding]:
    """The version, then the packages."""
    version = ".".join(map(str, python.version))
    if python.version[:2] < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        yield bad("python", f"{version} ({python.executable}); {wanted} or later is needed", "install one: docs/cluster.md, 'Python'")
    else:
        yield ok("python", f"{version} ({python.executable})")
    unmet = [n for n in python.needed if not n.is_met]
    if not unmet:
        yield ok("packages", f"all {len(python.needed)} as required")
    else:
        said = ", ".join(f"{n.requirement} (found: {n.found or 'none'})" for n in unmet)
        yield bad("packages", said, "in the folder of nunatak: make install")
