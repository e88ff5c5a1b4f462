"""One supervisor per home and host."""

import errno
import fcntl
import logging
import os
from pathlib import Path

from broker import process

log = logging.getLogger(__name__)

#: A supervisor's command line has this word.
SUPERVISOR = "broker.supervisor"
#: What a filesystem without flock answers (Lustre mounted without it, some FUSE).
_NO_FLOCK = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


class SupervisorLock:
    """Held from `take` to the end of the process.

    It tells processes of one host apart and no more: whether flock reaches other hosts differs from filesystem to filesystem. Between
    hosts the epochs decide (broker/epoch.py).
    """

    def __init__(self, path: Path, host: str) -> None:
        self._path = path
        self._host = host
        self._fd = -1

    def take(self) -> bool:
        """Whether the lock is ours now; raises OSError."""
        # Not inherited: the server outlives its supervisor, and would hold the lock for it.
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not self._lock(fd):
            os.close(fd)
            return False
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{self._host} {os.getpid()}\n".encode(), 0)
        self._fd = fd
        return True

    def _lock(self, fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._is_elsewhere(fd)
        except OSError as error:
            if error.errno not in _NO_FLOCK:
                raise
            log.warning("lock.no_flock path=%s error=%s", self._path, error)
            return not self._holder_lives(os.pread(fd, 4096, 0).decode(errors="replace"))
        return True

    def _is_elsewhere(self, fd: int) -> bool:
        """A hanging supervisor of another host may hold a lock that reaches this one: it must not keep the broker from moving."""
        holder, _, _ = os.pread(fd, 4096, 0).decode(errors="replace").strip().partition(" ")
        if not holder or holder == self._host:
            return False
        log.warning("lock.held_elsewhere path=%s host=%s", self._path, holder)
        return True

    def _holder_lives(self, text: str) -> bool:
        host, _, pid = text.strip().partition(" ")
        return host == self._host and pid.isdecimal() and int(pid) != os.getpid() and process.is_running(int(pid), SUPERVISOR)

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
