"""What goes into the archive: our packages that a node needs, and the distributions that these import, found by their metadata."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import nunatak
from nunatak.archive.needed import needed
from nunatak.errors import WrongUse

#: What a worker imports of others; what these require follows. Not parsl, flower and rich, which only commands need.
ROOTS = ("celery[redis]", "click")
#: Required by Celery for its own command line, which we do not use.
NOT_NEEDED = frozenset({"click-repl", "click-plugins", "click-didyoumean"})
#: Ours, of which nodes need everything; of the roof they need what these modules import, and of the launcher nothing.
OURS = ("broker", "tasks")
OF_THE_ROOF = ("nunatak.cli.worker",)
#: The file that Python runs when it is given the unpacked folder.
PROGRAM = "nunatak/archive/program.py"
_OUR_SUFFIXES = (".py", ".lua")
#: Of other people's distributions: what no running program reads.
_NOT_READ = (".pyi", ".typed", ".txt", ".md", ".rst", ".pyc", ".c", ".pyx")
_NOT_RUN = frozenset({"__pycache__", "tests", "testing"})
#: Changed whenever the same files would make another archive.
_FORMAT = 3


class CannotArchive(WrongUse):
    """The worker's environment cannot be put into an archive; the text says what to install in another way."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file."""

    #: Its path in the archive; a `.py` is compiled on the way there.
    name: str
    source: Path


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All that one archive is made of."""

    members: tuple[Member, ...]
    #: "name version" of each distribution.
    distributions: tuple[str, ...]
    #: Of everything that the archive depends on: code, versions, interpreter.
    digest: str


def look() -> Contents:
    """What an archive built now would hold; raises CannotArchive."""
    found = sorted(_closure(), key=lambda d: d.name)
    ours = list(_our_members(Path(nunatak.__file__).parent.parent))
    distributions = tuple(f"{d.name} {d.version}" for d in found)
    return Contents(
        members=(*ours, *(member for d in found for member in _members_of(d))),
        distributions=distributions,
        digest=_digest(ours, distributions),
    )


def interpreter() -> str:
    """The Python that nodes run it with: the one that our virtual environment was made from, which has none of its packages."""
    return str(getattr(sys, "_base_executable", "") or sys.executable)


# -- ours -------------------------------------------------------------------------------------------------------------------------------


def _our_members(root: Path) -> Iterator[Member]:
    whole = {path for package in OURS for path in (root / package).rglob("*") if path.suffix in _OUR_SUFFIXES}
    for path in sorted(whole | needed(root, OF_THE_ROOF) | {root / PROGRAM}):
        yield Member(name=path.relative_to(root).as_posix(), source=path)


def _digest(ours: list[Member], distributions: tuple[str, ...]) -> str:
    """By size and time of our files, which are edited in place, and by the others' versions."""
    digest = blake2b(repr((_FORMAT, sys.version, sys.implementation.cache_tag, interpreter(), distributions)).encode(), digest_size=8)
    for member in ours:
        stat = member.source.stat()
        digest.update(repr((member.name, stat.st_size, stat.st_mtime_ns)).encode())
    return digest.hexdigest()


# -- other people's ---------------------------------------------------------------------------------------------------------------------


def _closure() -> list[Distribution]:
    """The distributions that `ROOTS` require here, themselves included."""
    found: dict[str, Distribution] = {}
    wanted = [Requirement(root) for root in ROOTS]
    done: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        requirement = wanted.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if name in NOT_NEEDED or (name, extras) in done:
            continue
        done.add((name, extras))
        found[name] = _distribution(requirement.name)
        wanted += _required(found[name], extras)
    return list(found.values())


def _distribution(name: str) -> Distribution:
    try:
        return distribution(name)
    except PackageNotFoundError as error:
        raise CannotArchive(f"{name} is not installed in the environment of {sys.executable}: make install") from error


def _required(found: Distribution, extras: frozenset[str]) -> list[Requirement]:
    requirements = [Requirement(text) for text in found.requires or ()]
    return [r for r in requirements if r.marker is None or any(r.marker.evaluate({"extra": extra}) for extra in extras or {""})]


def _members_of(found: Distribution) -> Iterator[Member]:
    files = found.files
    if not files:
        raise CannotArchive(f"nobody knows which files belong to {found.name} {found.version}: install it with pip")
    for file in files:
        path = PurePosixPath(file.as_posix())
        if _is_read(path):
            yield Member(name=str(path), source=Path(str(file.locate())))


def _is_read(path: PurePosixPath) -> bool:
    if path.is_absolute() or ".." in path.parts or _NOT_RUN.intersection(path.parts):
        return False
    if path.parts[0].endswith(".dist-info"):
        # By it a library finds its own version.
        return path.name == "METADATA"
    return path.suffix not in _NOT_READ
