"""`nunatak set`: change a campaign's options, also for what already waits."""

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import click

from broker.records import Campaign, State
from nunatak.campaign_names import find_campaign
from nunatak.campaign_options import DEFAULT_PRIORITY, as_typed, changed, lane_change, parse_options
from nunatak.reach import with_broker
from nunatak.relaning import Relaning
from nunatak.screen import say
from nunatak.session import Broker
from tasks.done_rule import DoneRule

#: A new done rule is tried on this many waiting jobfiles before it is taken.
_TRIED = 20


@click.command("set", epilog="Example: nunatak set region_03_conus-2m priority=9 retries=5 max_fails=")
@click.argument("name")
@click.argument("options", metavar="OPTION=VALUE...", nargs=-1, required=True)
@with_broker
def command(broker: Broker, name: str, options: tuple[str, ...]) -> None:
    """Change the options of campaign NAME; OPTION= alone sets the default again.

    Options: done, per_node, priority (0-9), retries, max_fails, time, max, cpus, mem, logs. They hold for whatever has not been started;
    a jobfile's own #NUNATAK line stays above them.
    """
    campaign = find_campaign(broker.ledger, name)
    wanted = parse_options(options)
    _try_rule(broker, campaign, wanted)
    new = changed(campaign, wanted)
    if new:
        broker.scripts.campaign(campaign.name, new)
    say(f"{name}: {as_typed(new)}" if new else f"{name}: nothing changes, it has these options already")
    _relane(broker, campaign, wanted)


def _try_rule(broker: Broker, campaign: Campaign, wanted: Mapping[str, str]) -> None:
    """A rule that names no outputs for a waiting jobfile would never call it done."""
    if "done" not in wanted:
        return
    rule = DoneRule.parse(wanted["done"])
    for job in islice(broker.ledger.jobs(campaign.name, State.QUEUED), _TRIED):
        # Raises RuleDoesNotFit, which names the jobfile and the remedy.
        rule.expected(Path(job.path))


def _relane(broker: Broker, campaign: Campaign, wanted: Mapping[str, str]) -> None:
    """Done for unchanged options too: an earlier `set` may have been interrupted here."""
    change = lane_change(wanted, DEFAULT_PRIORITY)
    if change.changes_nothing:
        return
    moved = Relaning(broker.scripts).apply(campaign.number, change)
    say(f"{moved:,} waiting jobfiles go by it; those whose own header decides, and those that run, stay as they are")
