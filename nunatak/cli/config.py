"""`nunatak config`: every setting, and where it came from."""

from typing import Any
from urllib.parse import urlsplit

import click

from nunatak.reach import settings_of
from nunatak.screen import Column, print_table, say
from nunatak.settings import Settings
from nunatak.shown import as_json


@click.command("config", epilog="Example: nunatak config --json | jq .server")
@click.option("--json", "json_object", is_flag=True, help="One JSON object: each setting with its value and where it came from.")
@click.pass_context
def command(context: click.Context, json_object: bool) -> None:
    """Show every setting with its value and where it came from: a default, a line of config.toml, or a variable of the environment."""
    settings = settings_of(context)
    if json_object:
        click.echo(as_json({name: {"value": value, "from": origin} for name, value, origin in _lines(settings)}))
        return
    columns = [Column(title="SETTING"), Column(title="VALUE", wide=True), Column(title="FROM", wide=True)]
    print_table(columns, [[name, _text(value), origin] for name, value, origin in _lines(settings)])
    say(f"to change one: NAME = VALUE under its [section] in {settings.home.config_file}, or $NUNATAK_SECTION_NAME")


def _lines(settings: Settings) -> list[tuple[str, Any, str]]:
    home = ("home", str(settings.home.root), settings.origins.get("home", "default"))
    return [home, *((name, without_password(value), settings.origins.get(name, "default")) for name, value in settings.values().items())]


def without_password(value: Any) -> Any:
    """A server's URL may hold a password, and what is printed gets around."""
    if not isinstance(value, str) or "://" not in value:
        return value
    secret = urlsplit(value).password
    return value.replace(f":{secret}@", ":***@") if secret else value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value) or '""'
