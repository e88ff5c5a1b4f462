"""The node's log, of guard and worker: written on the node; after a bad end its last part is copied to where it will be looked for."""

import os
from pathlib import Path

from tasks.guard import log

#: What is copied at most: it tells the end, and thousands of nodes may end badly at once.
_COPIED = 1 << 20


def open_log(path: str) -> None:
    """From here on everything that guard and worker say goes there; raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)


def put_away(path: str, copy_to: str, *, ended_well: bool) -> None:
    """Remove the log after a good end; copy its last part after a bad one. The last thing a guard does: it may hang without harm."""
    try:
        if ended_well:
            Path(path).unlink()
        else:
            _copy_end(Path(path), Path(copy_to))
    except OSError as error:
        log.warning("log.not_put_away path=%s error=%s", path, error)


def _copy_end(source: Path, target: Path) -> None:
    with source.open("rb") as log_file:
        log_file.seek(max(0, source.stat().st_size - _COPIED))
        target.write_bytes(log_file.read())
    target.chmod(0o600)
