"""What a host sees of the machine's files: which places are its own, and which folders are shared under their own names."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

#: A host's own places, empty at each boot, as on a node of a real cluster: what a test wants shared stands in the user's home.
PRIVATE = {Path("/run"): "mode=755", Path("/tmp"): "mode=1777", Path("/var/tmp"): "mode=1777", Path("/dev/shm"): "mode=1777"}


@dataclass(frozen=True, kw_only=True)
class Bind:
    """A file or folder that appears at another place, or again at its own where something covers it."""

    source: Path
    target: Path
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class View:
    """Empty memory filesystems first, then the binds, whose sources are opened before anything is covered."""

    #: Place -> mount options of the memory filesystem there.
    covers: dict[Path, str]
    binds: tuple[Bind, ...]

    def as_json(self) -> dict[str, object]:
        binds = [[str(bind.source), str(bind.target), bind.read_only] for bind in self.binds]
        return {"covers": {str(place): options for place, options in self.covers.items()}, "binds": binds}


def view(read_only: Iterable[Path], writable: Iterable[Path]) -> View:
    """A view in which an ordinary user reaches these folders, without a change of the machine's own modes.

    A folder on the way that is closed to others (root's home, in which a Python may be installed; a `mktemp -d`) is covered by an empty
    one that is open, and the wanted folders are bound into it.
    """
    wanted = {**dict.fromkeys(read_only, True), **dict.fromkeys(writable, False)}
    closed = {place for path in wanted if (place := _closed(path)) is not None}
    covers = PRIVATE | {place: "mode=755" for place in sorted(closed) if not _under(place, PRIVATE)}
    binds = (bind for path in sorted(wanted) for bind in _binds(path, wanted[path], path in closed))
    return View(covers=covers, binds=tuple(bind for bind in binds if _under(bind.target, covers) or not bind.read_only))


def _closed(path: Path) -> Path | None:
    """The first folder on the way that others may not enter; the last one they must be able to list, too."""
    for place in [*reversed(path.parents), path]:
        needed = stat.S_IXOTH | (stat.S_IROTH if place == path else 0)
        if place.stat().st_mode & needed != needed:
            return place
    return None


def _under(path: Path, places: Iterable[Path]) -> bool:
    return any(path == place or place in path.parents for place in places)


def _binds(path: Path, read_only: bool, itself_closed: bool) -> Iterator[Bind]:
    entries = [Path(entry.path) for entry in os.scandir(path)] if itself_closed else [path]
    return (Bind(source=entry, target=entry, read_only=read_only) for entry in sorted(entries))
