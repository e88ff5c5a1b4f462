"""Flower on our Celery app: on the loopback, behind a password that stands in no argument, with the true number of waiting jobfiles.

Flower is a program, not a library: its options are globals of Tornado, its handlers a module's list. What is replaced here is named in
tests/nunatak/test_flower_command.py, which starts it for real; pyproject.toml bounds its version.
"""

import getpass
import secrets
import signal
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from broker.home import Home
from broker.keys import QUEUE
from broker.ledger import Ledger
from broker.private import write_private
from broker.records import State
from nunatak.session import open_broker
from nunatak.settings import Settings

#: The name to log in with; the password is in `password_file`.
USER = "nunatak"
#: How often the dashboard's state is written, so that it survives a kill (Flower itself saves at a clean stop only).
SAVE_EVERY_S = 60
#: Jobfiles whose events are kept in memory: 7 kB each (measured with Flower 2.2: 696 MB for 100,000).
MAX_TASKS = 20_000


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """Where a running Flower is."""

    host: str
    port: int
    password_file: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def tunnel(self) -> str:
        """What opens it from the user's own machine: it listens on the loopback of a login node."""
        return f"ssh -N -L {self.port}:127.0.0.1:{self.port} {getpass.getuser()}@{self.host}"


def password_file(home: Home) -> Path:
    return home.root / "flower-password"


def state_file(home: Home) -> Path:
    return home.root / "flower-state"


def flower_password(home: Home) -> str:
    """The dashboard's password, made at its first start (mode 0600) and kept: browsers remember it."""
    path = password_file(home)
    if not path.exists():
        write_private(path, secrets.token_urlsafe(18) + "\n")
    return path.read_text().strip()


def queue_lengths(ledger: Ledger, names: Iterable[str]) -> list[dict[str, Any]]:
    """What the broker page shows: jobfiles wait in lanes, which the length of a Redis list knows nothing of."""
    waiting = sum(c.counts[State.QUEUED] for c in ledger.campaigns())
    return [{"name": name, "messages": waiting if name == QUEUE else 0} for name in names]
