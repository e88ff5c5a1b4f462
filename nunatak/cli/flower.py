"""`nunatak flower`: Celery's dashboard on this queue."""

import click

from nunatak.errors import WrongUse
from nunatak.reach import reach, settings_of
from nunatak.screen import say


@click.command("flower", epilog="Example: nunatak flower --port 5555")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on; by default one that is free.")
@click.pass_context
def command(context: click.Context, port: int) -> None:
    """Run Flower, the Celery dashboard, until Ctrl-C.

    It listens on this machine's loopback only and asks for a password, which is made at the first start and kept in a file of yours. Its
    HTTP API (/api/tasks, /api/workers) takes the same password. It shows what happens while it runs; `nunatak jobs` has the whole record.
    """
    settings = settings_of(context)
    with reach(settings):
        # A dead broker was started again; Flower opens connections of its own.
        pass
    # Imported late: flower takes 0.24 s (celery: 0.12 s).
    from nunatak.flower import USER, FlowerServer

    try:
        server = FlowerServer(settings, port)
    except OSError as error:
        raise WrongUse(f"port {port} cannot be used ({error.strerror}); leave out --port for a free one") from error
    dashboard = server.dashboard
    click.echo(dashboard.url)
    say(f"log in as {USER}; the password is in {dashboard.password_file}")
    say(f"from your own machine: {dashboard.tunnel}\n  and then open {dashboard.url}")
    server.serve()
