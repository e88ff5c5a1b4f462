"""`nunatak cancel`: jobfiles are not to run, or not to run on."""

from collections import Counter

import click

from broker.records import State
from nunatak.reach import with_broker
from nunatak.screen import say
from nunatak.selection import selected_ids, selection_options
from nunatak.session import Broker
from nunatak.shown import as_json

#: What the broker answers -> the words it is reported with.
_WORDS = {
    "cancelled": "cancelled",
    "asked": "run, and their workers are asked to end them (within a minute)",
    "ended": "had ended",
    "unknown": "were forgotten meanwhile",
}


@click.command("cancel", epilog="Example: nunatak cancel --campaign region_03_conus-2m --state queued")
@selection_options((State.QUEUED, State.RUNNING))
@with_broker
def command(broker: Broker, jobfiles: tuple[str, ...], campaign: str | None, state: str | None, json_object: bool) -> None:
    """Cancel jobfiles: waiting ones at once; running ones are ended by their worker when it next speaks to the broker.

    JOBFILE is a path, a name, or the beginning of a name. --campaign alone means all that wait or run. `nunatak retry` takes it back.
    """
    ids = selected_ids(broker, jobfiles, campaign, state, (State.QUEUED, State.RUNNING))
    words = Counter(broker.scripts.cancel(ids))
    if json_object:
        click.echo(as_json({word: words[word] for word in _WORDS}))
        return
    if not words:
        say("no such jobfile waits or runs")
    for word, text in _WORDS.items():
        if words[word]:
            say(f"{words[word]:,} {text}")
