"""Files and folders that nobody but their owner may read."""

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO

from broker.errors import BrokerError


def private_dir(path: Path) -> Path:
    """Make `path` (mode 0700) or check that it is ours alone; raises BrokerError, because in /tmp anybody can be there first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise BrokerError(f"{path} is not a folder of ours (owner {found.st_uid}): set TMPDIR to another folder, or have it removed")
    if found.st_mode & 0o077:
        raise BrokerError(f"{path} is open to others (mode {stat.S_IMODE(found.st_mode):o}): chmod 700 {path}, if you trust what is in it")
    return path


def write_private(path: Path, text: str) -> None:
    """Replace the file at once (mode 0600): a reader sees the old text or the new one, also after a crash of the host."""
    fd, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(os.fsencode(text))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_dir(path.parent)


def open_log(path: Path) -> BinaryIO:
    """A file to be appended to by whoever inherits it; made for its owner only, whatever the umask."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")


def sync_dir(path: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
