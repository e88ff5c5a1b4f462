"""The broker as the commands on what is recorded need it: found, started again where it may be, or an answer why not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Concatenate, ParamSpec

import click

from broker.home import Home
from nunatak.errors import Gone
from nunatak.session import Broker, open_broker
from nunatak.settings import Settings

_P = ParamSpec("_P")


class NothingYet(Gone):
    """This home has never had a broker: there is nothing to show and nothing to start. Enqueue something."""


def settings_of(context: click.Context) -> Settings:
    """The settings that `nunatak` read before the command."""
    settings = context.find_object(Settings)
    if settings is None:
        raise AssertionError("a command of nunatak runs without settings: call it with obj=Settings(...)")
    return settings


def has_data(home: Home) -> bool:
    """Whether a broker of this home has ever run."""
    return home.address_file.exists() or any(home.root.glob("epoch-*"))


@contextmanager
def reach(settings: Settings) -> Iterator[Broker]:
    """The broker, started again if it is dead; raises NothingYet where there never was one."""
    if not settings.server.url and not has_data(settings.home):
        raise NothingYet(f"nothing was ever enqueued with the home {settings.home.root}; enqueue-jobfiles DIR begins")
    broker = open_broker(settings, start=True)
    try:
        yield broker
    finally:
        broker.client.close()


def with_broker(function: "Callable[Concatenate[Broker, _P], None]") -> "Callable[_P, None]":
    """A command's body that is handed the broker before its options."""

    @wraps(function)
    def command(*args: _P.args, **kwargs: _P.kwargs) -> None:
        with reach(settings_of(click.get_current_context())) as broker:
            function(broker, *args, **kwargs)

    return command
