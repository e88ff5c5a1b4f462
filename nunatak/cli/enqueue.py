"""`nunatak enqueue` and `enqueue-jobfiles`: put a directory's jobfiles into the queue."""

from pathlib import Path
from typing import Any

import click

from nunatak.enqueue_options import enqueue_options, request_of
from nunatak.enqueued import as_dict, exit_code, result_lines, word_lines
from nunatak.enqueueing import enqueue_directory
from nunatak.reach import settings_of
from nunatak.screen import printable, say
from nunatak.session import Session
from nunatak.shown import as_json

_EPILOG = """\b
Exit codes: 0 all well, 1 some jobfiles were rejected (the others are enqueued),
2 nothing could be enqueued, 3 the broker cannot be had.
\b
Example: enqueue-jobfiles region_03_conus/jobfiles/2m --per-node 2 --time 11h
"""


@click.command("enqueue", epilog=_EPILOG)
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@enqueue_options
@click.option("--dry-run", is_flag=True, help="Change nothing; show the counts, and what outputs are expected.")
@click.option("--json", "json_object", is_flag=True, help="One JSON object: counts, done_rule, rejected, warnings.")
@click.pass_context
def command(context: click.Context, /, directory: Path, dry_run: bool, json_object: bool, **options: Any) -> None:
    """Put the jobfiles of DIR (not of the directories below it) into the queue.

    Running it again enqueues nothing twice: it adds what is new, and options that are given again change what waits. Options that are
    not given stay as they were. A jobfile's own #NUNATAK line is above all of them. The broker is started if none runs.
    """
    request = request_of(directory, dry_run=dry_run, **options)
    with Session(settings_of(context), start=not dry_run) as session:
        outcome = enqueue_directory(session, request)
    if json_object:
        click.echo(as_json(as_dict(outcome)))
    else:
        for line in word_lines(outcome):
            say(line)
        for line in result_lines(outcome):
            click.echo(printable(line))
    context.exit(exit_code(outcome))
