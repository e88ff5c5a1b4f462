"""The heartbeat file: a counter on the shared filesystem that moves only while the broker's supervisor can write it (LEASES rules 7, 11).

It is overwritten in place, so that readers on other hosts see the change when they open it; a new file under the old name may be seen late.
"""

import json
import os
import zlib
from dataclasses import asdict, dataclass

from broker.home import Home

#: Always this long, so that an overwrite leaves nothing of the last one and needs no new block on a full filesystem.
_SIZE = 256


class BadHeartbeat(ValueError):
    """The heartbeat file is torn or not ours: read it again; if it stays so, it proves nothing."""


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """What the heartbeat file says."""

    #: Grows with each beat, over restarts and moves of the broker.
    counter: int
    epoch: int
    #: host:pid of the supervisor.
    writer: str


def encode(heartbeat: Heartbeat) -> bytes:
    body = json.dumps(asdict(heartbeat))
    return f"{zlib.crc32(body.encode()):08x} {body}".ljust(_SIZE - 1).encode() + b"\n"


def decode(data: bytes) -> Heartbeat:
    """Raises BadHeartbeat unless the text is whole."""
    check, _, body = data.decode(errors="replace").strip().partition(" ")
    if check != f"{zlib.crc32(body.encode()):08x}":
        raise BadHeartbeat(f"{body[:60]!r} does not match its checksum {check!r}")
    return Heartbeat(**json.loads(body))


def read_heartbeat(home: Home) -> Heartbeat | None:
    """Open, read and close the file; None if there is none; raises OSError, BadHeartbeat."""
    try:
        return decode(home.heartbeat_file.read_bytes())
    except FileNotFoundError:
        return None


def write_heartbeat(home: Home, heartbeat: Heartbeat) -> None:
    """Overwrite the file and wait until the filesystem has it; raises OSError."""
    fd = os.open(home.heartbeat_file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(fd, encode(heartbeat), 0)
        os.fsync(fd)
    finally:
        os.close(fd)
