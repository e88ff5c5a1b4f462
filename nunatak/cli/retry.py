"""`nunatak retry`: jobfiles that ended badly wait again."""

from collections import Counter

import click

from broker.records import State
from nunatak.overview import paused_text
from nunatak.reach import with_broker
from nunatak.screen import say
from nunatak.selection import selected_ids, selection_options
from nunatak.session import Broker
from nunatak.shown import as_json

#: What the broker answers -> the key and the words it is reported with.
_WORDS = {
    "queued": ("retried", "wait again"),
    "waiting": ("waiting", "waited anyway"),
    "running": ("running", "are running"),
    "done": ("done", "are done; enqueue-jobfiles --again runs them once more"),
    "unknown": ("unknown", "were forgotten meanwhile"),
}


@click.command("retry", epilog="Example: nunatak retry --campaign region_03_conus-2m --state failed")
@selection_options((State.FAILED, State.QUARANTINED, State.CANCELLED))
@with_broker
def command(broker: Broker, jobfiles: tuple[str, ...], campaign: str | None, state: str | None, json_object: bool) -> None:
    """Let jobfiles that ended badly wait again, with their failures and losses forgiven.

    JOBFILE is a path, a name, or the beginning of a name. --campaign alone means its failed and quarantined ones.
    """
    ids = selected_ids(broker, jobfiles, campaign, state, (State.FAILED, State.QUARANTINED))
    words = Counter(broker.scripts.retry(ids))
    if json_object:
        click.echo(as_json({key: words[word] for word, (key, _) in _WORDS.items()}))
    elif not words:
        say("no such jobfile ended badly")
    for word, (_, text) in _WORDS.items():
        if words[word] and not json_object:
            say(f"{words[word]:,} {text}")
    if words["queued"]:
        _name_paused(broker, campaign)


def _name_paused(broker: Broker, campaign: str | None) -> None:
    """Whoever retries expects a start; a paused campaign would not give one."""
    for found in broker.ledger.campaigns():
        if found.paused and found.counts[State.QUEUED] and campaign in (None, found.name):
            say(f"{found.name} is {paused_text(found)}")
