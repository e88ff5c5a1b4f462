"""`nunatak wait`: return when campaigns have ended, for the next step in a chain."""

import time
from collections.abc import Callable, Sequence

import click

from broker.errors import Unreachable
from broker.ledger import Ledger
from broker.records import Campaign, State
from nunatak.campaign_names import find_campaigns
from nunatak.lasting import LastingLedger
from nunatak.overview import counts_text, paused_text
from nunatak.patience import back_off
from nunatak.reach import reach, settings_of
from nunatak.screen import say


@click.command("wait", epilog="Example: nunatak wait region_03_conus-2m && ./mosaic.sh region_03")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.pass_context
def command(context: click.Context, names: tuple[str, ...]) -> None:
    """Wait until these campaigns, or all, have ended; exit 0 if everything is done, 1 if anything is not.

    A paused campaign does not end by itself: it is named, and waited for. A broker that goes away is waited for, too.
    """
    settings = settings_of(context)
    with reach(settings) as broker:
        wanted = [c.name for c in find_campaigns(broker.ledger, names)]
    if not wanted:
        say("there is no campaign, so there is nothing to wait for")
    with LastingLedger(settings) as ledger:
        ended = wait_for(wanted, lambda: ledger.ask(Ledger.campaigns), time.sleep, say)
    for campaign in ended:
        say(f"{campaign.name}: {counts_text(campaign)}")
    if not all_done(ended, len(wanted)):
        context.exit(1)


def wait_for(
    names: Sequence[str], look: Callable[[], list[Campaign]], sleep: Callable[[float], object], tell: Callable[[str], object]
) -> list[Campaign]:
    """The campaigns of these names, once all of them have ended; `tell` hears each thing that keeps them from it once."""
    told: set[str] = set()

    def once(text: str) -> None:
        if text not in told:
            told.add(text)
            tell(text)

    for wait_s in back_off():
        try:
            found = [c for c in look() if c.name in names]
            if all(c.has_ended for c in found):
                return found
            for campaign in found:
                if campaign.paused:
                    once(f"{campaign.name} is {paused_text(campaign)}")
        except Unreachable as error:
            once(f"{error}; still waiting")
        sleep(wait_s)
    raise AssertionError("back_off() never ends")


def all_done(ended: Sequence[Campaign], expected: int) -> bool:
    """Whether every jobfile of every campaign is done; a campaign that was forgotten meanwhile cannot be shown to be."""
    return len(ended) == expected and all(c.counts[State.DONE] == c.total for c in ended)
