"""`nunatak broker`: start, stop, and look at the broker."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click

from broker.address import read_address
from broker.start import ensure_broker
from broker.status import BrokerStatus, broker_status
from broker.stop import stop_broker
from nunatak.exit_codes import ExitCode
from nunatak.reach import settings_of
from nunatak.screen import printable, say
from nunatak.shown import as_json
from tasks.quantity import format_duration

_JSON_HELP = "One JSON object: running, reason, host, port, pids, version, memory and data sizes, uptime, last beat."


@click.group("broker", epilog="Example: nunatak broker status")
def command() -> None:
    """Start, stop or look at the broker, which holds the queue.

    Most commands start it by themselves when they need it, and it stops by itself when nobody has needed it for long.
    """


@command.command("start", short_help="Start the broker.", epilog="Example: nunatak broker start --bind all")
@click.option(
    "--bind",
    type=click.Choice(["loopback", "all"]),
    help="Listen on this machine only, or on all interfaces. [env var: NUNATAK_SERVER_BIND; default: the settings']",
)
@click.pass_context
def start(context: click.Context, bind: str | None) -> None:
    """Start the broker, or find the one that runs."""
    settings = settings_of(context)
    server = settings.server if bind is None else replace(settings.server, bind=bind)
    ensure_broker(settings.home, server, settings.lease, notice=say)
    status = broker_status(settings.home)
    for line in status_lines(status):
        click.echo(printable(line))
    if bind == "all" and status.address and set(status.address.hosts) <= {"127.0.0.1"} and not status.address.url:
        say("it runs already, for this machine only: nunatak broker stop, then start it again with --bind all")


@command.command("stop", short_help="Stop the broker; the queue stays on the disk.", epilog="Example: nunatak broker stop")
@click.option("--force", is_flag=True, help="Also while blocks live: what runs runs on, nothing new is started.")
@click.pass_context
def stop(context: click.Context, force: bool) -> None:
    """Stop the broker; the queue stays on the disk, and any command that needs it starts it again.

    It refuses while blocks live.
    """
    home = settings_of(context).home
    address = read_address(home)
    if address is None or address.is_stopped:
        click.echo("no broker runs")
        return
    stop_broker(home, force)
    click.echo(f"stopped; the queue is kept in {printable(str(home.root))}")


@command.command("status", short_help="Show where it runs and how it is.", epilog="Example: nunatak broker status --json")
@click.option("--json", "json_object", is_flag=True, help=_JSON_HELP)
@click.pass_context
def show(context: click.Context, json_object: bool) -> None:
    """Show where the broker runs and how it is; exit 3 if it does not run. It starts nothing."""
    status = broker_status(settings_of(context).home)
    if json_object:
        click.echo(as_json(as_dict(status)))
    else:
        for line in status_lines(status):
            click.echo(printable(line))
    if not status.running:
        context.exit(ExitCode.UNREACHABLE)


def as_dict(status: BrokerStatus) -> dict[str, Any]:
    """What `--json` prints; no password is in it."""
    address = status.address
    return {
        "running": status.running,
        "reason": status.reason or None,
        "host": address.host if address else None,
        "hosts": list(address.hosts) if address else [],
        "port": address.port if address else None,
        "external": bool(address and address.url),
        "epoch": address.epoch if address else None,
        "pid": status.pid or None,
        "supervisor_pid": status.supervisor_pid or None,
        "product": status.product or None,
        "version": status.version or None,
        "memory_bytes": status.memory_bytes,
        "aof_bytes": status.aof_bytes,
        "uptime_s": round(status.uptime_s),
        "beat_age_s": None if status.beat_age_s is None else round(status.beat_age_s, 3),
    }


def status_lines(status: BrokerStatus) -> Iterator[str]:
    """What a person reads."""
    if not status.running or status.address is None:
        yield f"not running: {status.reason}"
        return
    where = status.address.host if not status.address.url else "an external server"
    yield f"running on {where}, {status.product} {status.version}, for {format_duration(status.uptime_s)}"
    if not status.address.url:
        yield f"  listens on  {', '.join(f'{host}:{status.address.port}' for host in status.address.hosts)}"
        yield f"  processes   server {status.pid}, supervisor {status.supervisor_pid}"
    yield f"  memory      {_size(status.memory_bytes)}, on the disk {_size(status.aof_bytes)}"
    beat = "never: its supervisor does not work" if status.beat_age_s is None else f"{format_duration(max(0.0, status.beat_age_s))} ago"
    yield f"  last beat   {beat}"


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} GiB"
