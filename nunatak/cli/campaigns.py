"""`nunatak campaigns`: every campaign with its counts and options."""

import click

from broker.records import Campaign, State
from nunatak.reach import with_broker
from nunatak.screen import Column, print_table, say
from nunatak.session import Broker
from nunatak.shown import OPTION_NAMES, as_json, campaign_line

_COUNTED = {State.DONE: "DONE", State.RUNNING: "RUNNING", State.QUEUED: "WAITING"}


@click.command("campaigns", epilog="Example: nunatak campaigns --json")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object per line; units are in the names.")
@with_broker
def command(broker: Broker, json_lines: bool) -> None:
    """List campaigns, the oldest first, with their counts and options."""
    campaigns = broker.ledger.campaigns()
    if json_lines:
        for campaign in campaigns:
            click.echo(as_json(campaign_line(campaign)))
        return
    if not campaigns:
        say("there is no campaign yet: enqueue-jobfiles DIR makes one")
    figures = [Column(title=title, right=True) for title in ("TOTAL", *_COUNTED.values(), "BAD")]
    print_table([Column(title="CAMPAIGN", wide=True), *figures, Column(title="OPTIONS", wide=True)], map(_row, campaigns))


def _row(campaign: Campaign) -> list[str]:
    bad = sum(campaign.counts[s] for s in (State.FAILED, State.QUARANTINED, State.CANCELLED))
    figures = [campaign.total, *(campaign.counts[s] for s in _COUNTED), bad]
    paused = ["paused"] if campaign.paused else []
    options = [f"{name}={campaign.options[name]}" for name in OPTION_NAMES if campaign.options.get(name)]
    return [campaign.name, *map(str, figures), " ".join([*paused, *options])]
