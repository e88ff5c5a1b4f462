"""`nunatak forget`: remove an ended campaign's records, after writing them to a file."""

import time
from pathlib import Path

import click

from broker.errors import BrokerError, Unreachable
from broker.records import State
from nunatak.campaign_names import find_campaign
from nunatak.errors import WrongUse
from nunatak.export import export_file, write_export
from nunatak.reach import reach, settings_of
from nunatak.screen import say


@click.command("forget", epilog="Example: nunatak forget region_03_conus-2m -o region_03.jsonl")
@click.argument("name")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File for its history; by default in the home.")
@click.pass_context
def command(context: click.Context, name: str, output: Path | None) -> None:
    """Forget campaign NAME, which has ended: its records leave the broker, its history goes to a file first.

    The file has one JSON object per jobfile, with all its attempts; its name is printed. Jobfiles, logs and outputs stay where they are.
    """
    settings = settings_of(context)
    with reach(settings) as broker:
        campaign = find_campaign(broker.ledger, name)
        if not campaign.has_ended:
            raise WrongUse(_still_active(name, campaign.counts[State.QUEUED], campaign.counts[State.RUNNING]))
        path = output or export_file(settings.home.root / "exports", name, time.time())
        if path.exists():
            raise WrongUse(f"{path} exists; name another file with -o")
        count = write_export(path, broker.ledger.jobs(name), broker.ledger.now_s())
        try:
            broker.scripts.forget(name)
        except Unreachable:
            raise
        except BrokerError as error:
            # Somebody enqueued more of it since we looked: the file would not be its whole history.
            path.unlink()
            raise WrongUse(str(error)) from error
    click.echo(path)
    say(f"{name} is forgotten; the history of its {count:,} jobfiles is in {path}")


def _still_active(name: str, queued: int, running: int) -> str:
    return (
        f"{name} has not ended: {queued:,} jobfiles wait, {running:,} run. Wait for it (nunatak wait {name}) "
        f"or cancel them (nunatak cancel --campaign {name})"
    )
