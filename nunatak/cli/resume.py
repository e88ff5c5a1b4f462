"""`nunatak resume`: go on with a paused campaign."""

import click

from nunatak.campaign_names import find_campaigns
from nunatak.reach import with_broker
from nunatak.screen import say
from nunatak.session import Broker


@click.command("resume", epilog="Example: nunatak resume region_03_conus-2m")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@with_broker
def command(broker: Broker, names: tuple[str, ...]) -> None:
    """Go on with these campaigns, or with all if none is named.

    The failures that paused a campaign are forgiven: it is paused again only by as many new ones.
    """
    campaigns = [c for c in find_campaigns(broker.ledger, names) if names or c.paused]
    if not campaigns:
        say("no campaign is paused")
    for campaign in campaigns:
        resumed = broker.scripts.pause(campaign.number, "")
        say(f"{campaign.name}: {'goes on' if resumed else 'was not paused'}")
