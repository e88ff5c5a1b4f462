"""Which campaign a user means by a name."""

import difflib
from collections.abc import Sequence

from broker.ledger import Ledger
from broker.records import Campaign
from nunatak.errors import WrongUse


class UnknownCampaign(WrongUse):
    """No campaign has this name. The text names those that come close."""


def find_campaign(ledger: Ledger, name: str) -> Campaign:
    """The campaign of exactly this name; raises UnknownCampaign."""
    return _pick(ledger.campaigns(), name)


def find_campaigns(ledger: Ledger, names: Sequence[str]) -> list[Campaign]:
    """The campaigns of these names, or all of them if none is named; raises UnknownCampaign."""
    campaigns = ledger.campaigns()
    return [_pick(campaigns, name) for name in dict.fromkeys(names)] if names else campaigns


def _pick(campaigns: Sequence[Campaign], name: str) -> Campaign:
    for campaign in campaigns:
        if campaign.name == name:
            return campaign
    close = difflib.get_close_matches(name, [c.name for c in campaigns], n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}?" if close else "`nunatak campaigns` lists them"
    raise UnknownCampaign(f"there is no campaign {name}; {hint}")
