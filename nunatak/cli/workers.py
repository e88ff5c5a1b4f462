"""`nunatak workers`: every worker with what it holds."""

import click

from broker.records import WorkerSeen
from nunatak.reach import with_broker
from nunatak.screen import Column, print_table, say
from nunatak.session import Broker
from nunatak.shown import as_json, worker_line
from tasks.quantity import format_duration

_COLUMNS = (
    Column(title="WORKER", wide=True),
    Column(title="NODE"),
    Column(title="BLOCK"),
    Column(title="SLOTS", right=True),
    Column(title="RUNNING", right=True),
    Column(title="FROZEN", right=True),
    Column(title="STATE"),
    Column(title="HEARD OF", right=True),
)


@click.command("workers", epilog="Example: nunatak workers --json")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object per line.")
@with_broker
def command(broker: Broker, json_lines: bool) -> None:
    """List workers: one per node of every block, with what each runs and when it was last heard of.

    A worker that is lost stays listed until its block is known to have ended.
    """
    workers = broker.ledger.workers()
    if json_lines:
        for worker in workers:
            click.echo(as_json(worker_line(worker)))
        return
    if not workers:
        say("no worker is running")
    print_table(_COLUMNS, map(_row, workers))


def _row(worker: WorkerSeen) -> list[str]:
    return [
        worker.worker,
        worker.node,
        worker.block,
        str(worker.slots),
        str(worker.running),
        str(worker.frozen),
        worker.state,
        f"{format_duration(max(0.0, worker.last_contact_s))} ago",
    ]
