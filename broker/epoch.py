"""The folders of the server's data, one per host it has lived on: no two servers ever write in the same one (LEASES rule 9)."""

import logging
import os
import shutil
from pathlib import Path

from broker.errors import Unreachable
from broker.heartbeat import BadHeartbeat, read_heartbeat
from broker.home import Home
from broker.private import sync_dir
from broker.server import conf_file

log = logging.getLogger(__name__)

#: Stands for "there is no heartbeat file".
NO_HEARTBEAT = -1


def epochs(home: Home) -> list[int]:
    """The epochs that anybody has begun, ascending."""
    names = (p.name for p in home.root.iterdir() if p.name.startswith("epoch-"))
    return sorted(int(n[6:]) for n in names if n[6:].isdecimal())


def newest(home: Home) -> int:
    """The last epoch that anybody has begun; 0 if there is none."""
    return max(epochs(home), default=0)


def is_complete(home: Home, epoch: int) -> bool:
    """Whether all of the previous epoch's data had arrived there before its server was started."""
    return _mark(home, epoch).exists()


def _mark(home: Home, epoch: int) -> Path:
    return home.epoch_dir(epoch) / "complete"


def counter(home: Home) -> int:
    """The heartbeat's counter, NO_HEARTBEAT if there is no file; raises OSError, BadHeartbeat."""
    found = read_heartbeat(home)
    return NO_HEARTBEAT if found is None else found.counter


def begin(home: Home, still_at: int) -> int:
    """Begin the next epoch with a copy of the last complete one's data; returns its number.

    `still_at` is the heartbeat's counter that was seen to stand still. A supervisor writes the file and looks for a newer epoch before it
    beats; we make the folder and then look at the file: at least one of the two sees the other. Raises Unreachable if the other moved, or
    somebody else is beginning the same epoch.
    """
    number = newest(home) + 1
    folder = home.epoch_dir(number)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError as error:
        raise Unreachable(f"another host is starting the broker at this moment ({folder} is there): try again in a minute") from error
    sync_dir(home.root)
    try:
        _check_still(home, still_at)
        _copy_last(home, number)
        _check_still(home, still_at)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _mark(home, number).touch(mode=0o600)
    sync_dir(folder)
    log.info("epoch.begun epoch=%d", number)
    return number


def _check_still(home: Home, still_at: int) -> None:
    try:
        now = counter(home)
    except (OSError, BadHeartbeat) as error:
        raise Unreachable(f"the heartbeat {home.heartbeat_file} cannot be read ({error}): is its filesystem well?") from error
    if now != still_at:
        raise Unreachable(f"the broker on the other host moves (its heartbeat went from {still_at} to {now}): nothing was taken over")


def _copy_last(home: Home, number: int) -> None:
    complete = [n for n in epochs(home) if n < number and is_complete(home, n)]
    if complete:
        _copy_tree(home.epoch_dir(complete[-1]), home.epoch_dir(number), skip={conf_file(Path()).name, "complete"})


def _copy_tree(source: Path, target: Path, skip: set[str]) -> None:
    for entry in source.iterdir():
        # Of an unfinished rewrite the server makes no use.
        if entry.name in skip or entry.name.startswith("temp-"):
            continue
        if entry.is_dir():
            (target / entry.name).mkdir(mode=0o700)
            _copy_tree(entry, target / entry.name, skip=set())
        else:
            _copy_file(entry, target / entry.name)
    sync_dir(target)


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as old, target.open("xb") as new:
        shutil.copyfileobj(old, new, 1 << 20)
        new.flush()
        os.fsync(new.fileno())


def prune(home: Home, epoch: int) -> None:
    """Remove the data of hosts before the last one; what this epoch was copied from stays, in case the copy is no good."""
    complete = [n for n in epochs(home) if n <= epoch and is_complete(home, n)]
    for old in [n for n in epochs(home) if n < epoch and n not in complete[-2:]]:
        log.info("epoch.removed epoch=%d", old)
        shutil.rmtree(home.epoch_dir(old), ignore_errors=True)


def oldest_write_s(home: Home, epoch: int) -> float | None:
    """Unix seconds of the last change of the data file that has rested longest; None if there is none."""
    folder = home.epoch_dir(epoch)
    times = [p.stat().st_mtime for pattern in ("appendonlydir/*", "appendonly.aof") for p in folder.glob(pattern)]
    return min(times, default=None)


def size_bytes(home: Home, epoch: int) -> int:
    """How much the epoch's data takes on the disk."""
    folder = home.epoch_dir(epoch)
    return sum(p.stat().st_size for pattern in ("appendonlydir/*", "appendonly.aof") for p in folder.glob(pattern))
