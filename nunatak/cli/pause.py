"""`nunatak pause`: start nothing more of a campaign."""

import click

from nunatak.campaign_names import find_campaigns
from nunatak.reach import with_broker
from nunatak.screen import say
from nunatak.session import Broker


@click.command("pause", epilog="Example: nunatak pause region_03_conus-2m --reason 'wrong module version'")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--reason", default="paused by its user", show_default=True, help="What `nunatak status` says of it.")
@with_broker
def command(broker: Broker, names: tuple[str, ...], reason: str) -> None:
    """Start no more jobfiles of these campaigns, or of all if none is named.

    What runs goes on and is recorded; `nunatak resume` starts the rest.
    """
    campaigns = [c for c in find_campaigns(broker.ledger, names) if names or not c.has_ended]
    if not campaigns:
        say("every campaign has ended, so there is nothing to pause")
    for campaign in campaigns:
        changed = broker.scripts.pause(campaign.number, reason.strip() or "paused by its user")
        say(f"{campaign.name}: {'paused' if changed else f'was paused already: {campaign.paused}'}")
