"""Room: bytes and files that a filesystem and its quota have left."""

from collections.abc import Iterator
from dataclasses import dataclass

from nunatak.doctor.finding import Finding, bad, ok, skipped, warning
from nunatak.doctor.place import Place

#: The queue's file grows by about 700 bytes a jobfile and is written anew beside itself.
_BAD_BYTES, _SCARCE_BYTES = 100 << 20, 2 << 30
_BAD_INODES, _SCARCE_INODES = 1_000, 50_000
#: A quota this full is worth a word.
_SCARCE_SHARE = 0.9


@dataclass(frozen=True, kw_only=True)
class Quota:
    """What a user may have on one filesystem, and has."""

    used_bytes: int
    #: 0: no limit.
    limit_bytes: int
    used_inodes: int
    limit_inodes: int


def judge_space(place: Place, quota: Quota | None, why_no_quota: str = "") -> Iterator[Finding]:
    """What the filesystem has left, then what the quota has."""
    remedy = "remove what is not needed, or move: export NUNATAK_HOME=…"
    if place.free_bytes is None:
        yield skipped("space", f"{place.path}: {place.trouble or 'the filesystem does not say'}")
    elif place.free_bytes < _BAD_BYTES:
        yield bad("space", f"{place.path}: {size(place.free_bytes)} free", remedy)
    elif place.free_bytes < _SCARCE_BYTES:
        yield warning("space", f"{place.path}: {size(place.free_bytes)} free", remedy)
    else:
        yield ok("space", f"{place.path}: {size(place.free_bytes)} free")
    yield _judge_inodes(place)
    yield _judge_quota(place, quota, why_no_quota)


def _judge_inodes(place: Place) -> Finding:
    if place.free_inodes is None:
        return skipped("inodes", f"{place.path}: the filesystem does not say")
    text = f"{place.path}: room for {place.free_inodes:,} more files"
    if place.free_inodes >= _SCARCE_INODES:
        return ok("inodes", text)
    judged = bad if place.free_inodes < _BAD_INODES else warning
    return judged("inodes", text, "remove what is not needed: each running jobfile needs about five files")


def _judge_quota(place: Place, quota: Quota | None, why: str) -> Finding:
    if quota is None:
        return skipped("quota", f"{place.path}: {why or 'nobody says'}")
    shares = [(quota.used_bytes / quota.limit_bytes, f"{size(quota.used_bytes)} of {size(quota.limit_bytes)}")] if quota.limit_bytes else []
    if quota.limit_inodes:
        shares.append((quota.used_inodes / quota.limit_inodes, f"{quota.used_inodes:,} of {quota.limit_inodes:,} files"))
    if not shares:
        return ok("quota", f"{place.path}: no limit")
    text = f"{place.path}: {' and '.join(words for _, words in shares)} used"
    fullest = max(share for share, _ in shares)
    if fullest < _SCARCE_SHARE:
        return ok("quota", text)
    return (bad if fullest >= 1 else warning)("quota", text, "remove what is not needed, or ask the site for more")


def parse_lfs_quota(text: str) -> Quota | None:
    """What `lfs quota -q -u USER FOLDER` says: FOLDER kbytes quota limit grace files quota limit grace; None if it says something else."""
    words = " ".join(text.split()).split(" ")
    numbers = [word.rstrip("*") for word in words[1:]]
    if len(numbers) < 8 or not all(numbers[i].isdecimal() for i in (0, 1, 2, 4, 5, 6)):
        return None
    used, soft, hard, files, soft_files, hard_files = (int(numbers[i]) for i in (0, 1, 2, 4, 5, 6))
    return Quota(
        used_bytes=used << 10, limit_bytes=(hard or soft) << 10, used_inodes=files, limit_inodes=hard_files or soft_files,
    )


def parse_quota(text: str, source: str) -> Quota | None:
    """What `quota -w` says of the filesystem of this device; None if it is not among them.

    Its lines: FILESYSTEM blocks quota limit grace files quota limit grace, with a * behind what is over the limit.
    """
    for line in text.splitlines():
        fields = [field.rstrip("*") for field in line.split()]
        if len(fields) >= 9 and fields[0] == source and all(fields[i].isdecimal() for i in (1, 2, 3, 5, 6, 7)):
            used, soft, hard, files, soft_files, hard_files = (int(fields[i]) for i in (1, 2, 3, 5, 6, 7))
            return Quota(
                used_bytes=used << 10, limit_bytes=(hard or soft) << 10, used_inodes=files, limit_inodes=hard_files or soft_files,
            )
    return None


def size(count: float) -> str:
    """Bytes as a person reads them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"
