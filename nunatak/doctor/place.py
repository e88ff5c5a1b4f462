"""A place: one of our folders, and what is known of the filesystem that it lies on."""

from collections.abc import Iterable
from dataclasses import dataclass

from nunatak.doctor.mount import Kind, Mount, is_of_one_host, is_within, mount_of


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder and its filesystem."""

    #: The folder as its user knows it.
    path: str
    #: Without symbolic links.
    real: str
    #: The filesystem's name; empty: not known.
    fstype: str = ""
    #: Its device, or the server's name of it; empty: not known.
    source: str = ""
    kind: Kind = Kind.UNKNOWN
    #: Every host has one of this name for itself.
    is_of_one_host: bool = False
    #: Files that nobody reads for some days are removed there.
    is_purged: bool = False
    #: What the filesystem has left for its user; None: it does not say.
    free_bytes: int | None = None
    free_inodes: int | None = None
    #: Why nothing more is known of it; empty: something is.
    trouble: str = ""


def place_on(path: str, real: str, mounts: Iterable[Mount], purged: Iterable[str]) -> Place:
    """The place as the list of mounts has it; `purged` are the folders that are purged."""
    mount = mount_of(real, mounts)
    return Place(
        path=path, real=real, fstype=mount.fstype if mount else "", source=mount.source if mount else "",
        kind=mount.kind if mount else Kind.UNKNOWN,
        is_of_one_host=is_of_one_host(real, mount) or (mount is not None and mount.kind is Kind.MEMORY),
        is_purged=any(is_within(real, folder) for folder in purged),
    )


def purged_folders(scratch: str, mounts: Iterable[Mount]) -> tuple[str, ...]:
    """Folders that sites purge: `$SCRATCH` (its real path, empty if it is not set) and shared filesystems mounted at /scratch…"""
    points = [m.point for m in mounts if m.point.startswith("/scratch") and m.kind in (Kind.SHARED, Kind.UNKNOWN)]
    return tuple(dict.fromkeys([*([scratch] if scratch and scratch != "/" else []), *points]))
