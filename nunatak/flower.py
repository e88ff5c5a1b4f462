"""Flower on our Celery app: on the loopback, behind a password that stands in no argument, with the true number of waiting jobfiles.

Flower is a program, not a library: its options are globals of Tornado, its handlers a module's list. What is replaced here is named in
tests/nunatak/test_flower_command.py, which starts it for real; pyproject.toml bounds its version.
"""

import getpass
import logging
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


def _this_host() -> str:
    """The name to reach this machine by; where nobody has told it its full one, it says localhost, which is everybody."""
    full = socket.getfqdn()
    return socket.gethostname() if full.startswith("localhost") else full


class _Brokers:
    """Stands in for Flower's broker class: the same question, answered by the ledger and not by LLEN."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __call__(self, *_url: Any, **_options: Any) -> "_Brokers":
        return self

    async def queues(self, names: Iterable[str]) -> list[dict[str, Any]]:
        import asyncio

        return await asyncio.to_thread(self._lengths, list(names))

    def _lengths(self, names: list[str]) -> list[dict[str, Any]]:
        # The broker may have moved since the last question; people ask rarely.
        broker = open_broker(self._settings, start=False)
        try:
            return queue_lengths(broker.ledger, names)
        finally:
            broker.client.close()


def _options(home: Home, port: int) -> Any:
    """Flower's options, set in this process: a password on a command line could be read by everybody on a login node."""
    from flower.options import options

    options.address = "127.0.0.1"
    options.port = port
    options.basic_auth = [f"{USER}:{flower_password(home)}"]
    options.persistent = True
    options.db = str(state_file(home))
    options.state_save_interval = SAVE_EVERY_S * 1000
    options.max_tasks = MAX_TASKS
    options.logging = None
    return options


def _guarded_handlers() -> list[Any]:
    """Flower's handlers, with /metrics behind the password too: it names workers and tasks to whoever is on the login node."""
    import tornado.web as web
    from flower.urls import handlers
    from flower.views.monitor import Metrics

    class GuardedMetrics(Metrics):  # type: ignore[misc]
        @web.authenticated  # type: ignore[untyped-decorator]
        async def get(self) -> None:
            await super().get()

    return [(h[0], GuardedMetrics) if isinstance(h, tuple) and h[1] is Metrics else h for h in handlers]


class FlowerServer:
    """Flower in this process, from its open port to its clean end."""

    def __init__(self, settings: Settings, port: int) -> None:
        import flower.app
        import flower.views
        from flower.urls import settings as pages

        from tasks.app import make_app

        # It warns of every question that no worker answers, which is so whenever none runs.
        logging.getLogger("flower.inspector").setLevel(logging.ERROR)
        flower.views.Broker = _Brokers(settings)
        flower.app.default_handlers = _guarded_handlers()
        options = _options(settings.home, port)
        self._flower = flower.app.Flower(capp=make_app(settings.home), options=options, **pages)
        self.dashboard = Dashboard(
            host=_this_host(), port=self._flower.start_http_server(), password_file=password_file(settings.home)
        )

    def serve(self) -> None:
        """Serve until SIGTERM or Ctrl-C; the state is saved then."""
        signal.signal(signal.SIGTERM, _end)
        try:
            self._flower.start()
        except (KeyboardInterrupt, SystemExit):
            pass
        finally:
            self._flower.stop()


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)
