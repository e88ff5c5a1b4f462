"""The node-local folder that a block's archive was unpacked to: whether we run from one, whose it is, and the end of those left behind.

The node's script makes it, the guard removes it as the last thing that it does; a killed guard leaves it to the next block's start.
"""

import contextlib
import logging
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tasks.guard.leftovers import is_alive, own_mark

log = logging.getLogger(__name__)

#: Holds the interpreter that the archive was compiled for; the node's script reads it.
INTERPRETER = "python"
#: Holds "BOOT:NAMESPACE MARK" of the process that is, or becomes, the node's guard.
_OWNER = "owner"
#: As `mktemp` makes it: `nunatak-UID-BLOCK.XXXXXX`.
_NAME = "nunatak-{uid}-[A-Za-z0-9_-]+[.][A-Za-z0-9]{{6}}"
#: A folder that nobody has said to own is being unpacked, if it is younger than this.
_UNPACKING_S = 3600.0


def unpacked_folder() -> Path | None:
    """Where this code was unpacked to; None: it is installed."""
    folder = Path(__file__).parent.parent
    return folder if (folder / INTERPRETER).is_file() else None


def own(folder: Path) -> None:
    """Say that this process, which becomes the guard, runs from the folder."""
    (folder / _OWNER).write_text(f"{_namespace()} {own_mark()}\n", encoding="ascii")


def places() -> set[Path]:
    """Where the node's script makes such folders."""
    return {Path("/dev/shm"), Path(tempfile.gettempdir())}


def remove_left_behind(where: Iterable[Path], now: float | None = None) -> None:
    """Remove the folders of this user whose guards are dead."""
    ours = re.compile(_NAME.format(uid=os.getuid()))
    for place in where:
        for name in _names(place):
            if ours.fullmatch(name) and _is_left_behind(place / name, time.time() if now is None else now):
                shutil.rmtree(place / name, ignore_errors=True)
                log.warning("unpacked.removed folder=%s", place / name)


def _names(place: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return os.listdir(place)
    return []


def _is_left_behind(folder: Path, now: float) -> bool:
    try:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            return False
        namespace, _, mark = (folder / _OWNER).read_text(encoding="ascii", errors="replace").strip().partition(" ")
    except FileNotFoundError:
        # Of another host, if both see one /tmp, or somebody's who is still at it.
        return now - found.st_mtime > _UNPACKING_S
    except OSError:
        return False
    # In another process namespace, or on another host, the mark's numbers mean other processes.
    return namespace == _namespace() and not is_alive(mark)


def _namespace() -> str:
    """This host since its start, and the process namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}"
