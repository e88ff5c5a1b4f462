"""What kind of filesystem a folder lies on: the kernel's list of mounts, read."""

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass

#: Filesystems that other hosts see as well, by the name that the kernel has for them.
_SHARED = frozenset({
    "lustre", "gpfs", "nfs", "nfs4", "beegfs", "beegfs_nodev", "ceph", "panfs", "pvfs2", "orangefs", "wekafs", "glusterfs", "afs", "cifs",
    "smb3", "gfs2", "ocfs2", "stornext", "fuse.ceph", "fuse.glusterfs", "fuse.sshfs", "fuse.juicefs", "fuse.daos", "fuse.beegfs",
})
_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
#: Filesystems of one machine's disk; a server may export them to others all the same.
_LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "overlay", "squashfs"})
#: Folders that every host has for itself, whatever they lie on.
_OF_ONE_HOST = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/local", "/scratch_local")
_ESCAPE = re.compile(r"\\([0-7]{3})")


class Kind(enum.Enum):
    """Who sees the files of a filesystem."""

    SHARED = "shared"
    LOCAL = "local"
    MEMORY = "memory"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Mount:
    """One line of /proc/self/mountinfo."""

    point: str
    fstype: str
    #: The device, or the server's name of it.
    source: str = ""

    @property
    def kind(self) -> Kind:
        """Positive lists only: a name that nobody knows is UNKNOWN."""
        for kind, names in ((Kind.SHARED, _SHARED), (Kind.MEMORY, _MEMORY), (Kind.LOCAL, _LOCAL)):
            if self.fstype in names:
                return kind
        return Kind.UNKNOWN


def parse_mounts(text: str) -> tuple[Mount, ...]:
    """The mounts in the text of /proc/self/mountinfo, in the order in which they were made; lines of another form are passed over."""
    found = []
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split()
        words = after.split()
        if dash and len(fields) >= 5 and len(words) >= 2:
            found.append(Mount(point=_unescaped(fields[4]), fstype=words[0], source=_unescaped(words[1])))
    return tuple(found)


def mount_of(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """The mount that holds this real path: the longest that contains it, of several at one point the last."""
    best: Mount | None = None
    for mount in mounts:
        if is_within(path, mount.point) and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def is_within(path: str, folder: str) -> bool:
    """Whether a path is the folder or lies under it; both are real paths."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def is_of_one_host(path: str, mount: Mount | None) -> bool:
    """Whether every host has a folder of this name for itself; what is mounted below such a folder is judged by itself."""
    point = mount.point if mount else "/"
    return any(is_within(path, folder) and (point == folder or not is_within(point, folder)) for folder in _OF_ONE_HOST)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), text)
