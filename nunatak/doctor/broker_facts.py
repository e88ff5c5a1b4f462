"""Asks the broker what the doctor wants to know; starts and changes nothing."""

import itertools
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from broker.client import open_client
from broker.errors import BrokerError
from broker.home import Home
from broker.ledger import Ledger
from broker.records import State
from broker.scripts import translated
from nunatak.doctor.clock import Skew
from nunatak.doctor.place import Place
from nunatak.doctor.purge import Waiting

#: So many waiting jobfiles are looked at: a million would take minutes on a shared filesystem.
_SAMPLE = 2_000
_DAY_S = 86400.0


def skew_to_server(home: Home, whose: str) -> Skew:
    """How far this host's clock is ahead of the server's; raises BrokerError."""
    client: Any = open_client(home)
    try:
        with translated():
            before = time.time()
            seconds, micros = client.time()
            after = time.time()
    finally:
        client.close()
    return Skew(
        whose=whose, of="the server", ahead_s=(before + after) / 2 - (int(seconds) + int(micros) / 1e6), within_s=(after - before) / 2
    )


def waiting(home: Home, place_of: Callable[[Path], Place]) -> tuple[tuple[Waiting, ...], str]:
    """The first jobfiles that wait, by directory; or why nobody can say."""
    try:
        client = open_client(home)
    except BrokerError:
        return (), "the broker does not answer"
    try:
        names: dict[str, list[str]] = defaultdict(list)
        for job in itertools.islice(Ledger(client).jobs(state=State.QUEUED), _SAMPLE):
            names[job.directory].append(job.name)
    except BrokerError as error:
        return (), str(error)
    finally:
        client.close()
    return tuple(_look(Path(directory), found, place_of) for directory, found in sorted(names.items())), ""


def _look(directory: Path, names: list[str], place_of: Callable[[Path], Place]) -> Waiting:
    now, gone, unread_s = time.time(), 0, 0.0
    for name in names:
        try:
            found = os.stat(directory / name)
        except OSError:
            gone += 1
        else:
            # A change counts as reading, and is all that a filesystem mounted with noatime knows.
            unread_s = max(unread_s, now - max(found.st_atime, found.st_mtime))
    return Waiting(place=place_of(directory), count=len(names), gone=gone, unread_days=unread_s / _DAY_S)
