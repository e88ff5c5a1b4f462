"""`nunatak broker`: start, stop, and look at the broker; have it on another host, in a batch job."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click

from broker.address import read_address, this_host
from broker.start import ensure_broker
from broker.status import BrokerStatus, broker_status
from broker.stop import stop_broker
from launcher import broker_job
from launcher.block import Block
from nunatak.blocks.purse import agree
from nunatak.errors import WrongUse
from nunatak.exit_codes import ExitCode
from nunatak.reach import settings_of
from nunatak.screen import printable, say
from nunatak.serving import serve as serve_here
from nunatak.settings import Settings
from nunatak.shown import as_json
from nunatak.sites import chosen_site
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
    was_stopped = address is None or address.is_stopped
    stop_broker(home, force)
    if was_stopped:
        click.echo("no broker runs")
        return
    click.echo(f"stopped; the queue is kept in {printable(str(home.root))}")


@command.command("status", short_help="Show where it runs and how it is.", epilog="Example: nunatak broker status --json")
@click.option("--json", "json_object", is_flag=True, help=_JSON_HELP)
@click.pass_context
def show(context: click.Context, json_object: bool) -> None:
    """Show where the broker runs and how it is; exit 3 if it does not run. It starts nothing."""
    home = settings_of(context).home
    status, job = broker_status(home), broker_job.last_job(home)
    job = None if job is None else broker_job.by_its_files(job, home)
    job = None if job is None or job.state.is_over else job
    if json_object:
        click.echo(as_json({**as_dict(status), "job_id": job.job_id if job else None}))
    else:
        for line in (*status_lines(status), *_job_lines(job)):
            click.echo(printable(line))
    if not status.running:
        context.exit(ExitCode.UNREACHABLE)


@command.command(
    "submit", short_help="Have the broker in a batch job of its own.", epilog="Example: nunatak broker submit -f stampede3-skx --yes"
)
@click.option("-f", "--site", "word", required=True, metavar="SITE", help="The site whose queue the job waits in: a name, or a path.")
@click.option("--walltime", metavar="HH:MM:SS", default="", help="How long the job may last. [default: the site's]")
@click.option("--yes", is_flag=True, help="Do not ask, whatever it may cost.")
@click.pass_context
def submit(context: click.Context, word: str, walltime: str, yes: bool) -> None:
    """Have the broker in a batch job of one node, where no login host's rules end it.

    When the job starts it fetches the broker from where it lives, within seconds; running jobfiles do not notice. Before its walltime ends
    it stops the broker in good order, and the next command on any host, or cron's tick, starts it there. One job at a time; submitted
    again while one waits or runs, it says so and submits nothing.
    """
    settings = settings_of(context)
    _refuse_external(settings)
    site = broker_job.broker_site(chosen_site(settings.home, word), walltime)
    agree(site, 1, settings, yes=yes)
    job = broker_job.submit_broker(site, settings.home)
    _open_to_nodes(settings)
    click.echo(f"job {job.job_id} submitted; when it starts the broker moves to its node: nunatak broker status")


@command.command("serve", short_help="Keep the broker on this host (what its job runs).", epilog="Example: nunatak broker serve --move")
@click.option("--move", is_flag=True, help="Fetch it from the host where it lives; otherwise wait until it lives nowhere.")
@click.pass_context
def serve(context: click.Context, move: bool) -> None:
    """Keep the broker on this host, for all hosts to reach, until told to go.

    It is started here, or taken over once its heartbeat has stood still. SIGTERM, SIGINT and SIGUSR1 stop it in good order. It ends by
    itself when the broker is stopped, is idle for long, or lives on another host.
    """
    settings = settings_of(context)
    _refuse_external(settings)
    serve_here(settings, move=move, say=say)


def _refuse_external(settings: Settings) -> None:
    address = read_address(settings.home)
    if settings.server.url or (address is not None and address.url):
        raise WrongUse("this home uses an external server, which is not ours to move: leave server.url empty to have our own")


def _open_to_nodes(settings: Settings) -> None:
    """A broker that lives here for this host alone could not be fetched by the job, or even asked to stop."""
    address = read_address(settings.home)
    if address is None or address.is_stopped or address.is_for_all_hosts:
        return
    if address.host == this_host():
        ensure_broker(settings.home, replace(settings.server, bind="all"), settings.lease, notice=say)
    else:
        say(f"the broker listens on {address.host} only: stop it there before the job starts, or start it there with --bind all")


def _job_lines(job: Block | None) -> Iterator[str]:
    """The broker's batch job as far as its files tell; the scheduler is not asked."""
    if job is not None:
        yield f"  batch job   {job.job_id or job.block_id} on {job.site or 'an unknown site'}, {job.state.value}"


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
