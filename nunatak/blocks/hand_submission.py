"""`nunatak blocks submit`: a number of blocks that a person asks for, within the same caps as all others."""

from collections.abc import Callable, Sequence

from launcher.block import Block
from launcher.cap import Cap
from launcher.scaling import Situation, limits, unknown_blocks, unknown_text
from launcher.site import Site
from launcher.targets import Target
from nunatak.blocks.submitting import submit_block
from nunatak.blocks.watch import Seen, look
from nunatak.blocks.wishes import state_of
from nunatak.blocks.words import several
from nunatak.campaign_names import find_campaigns
from nunatak.errors import Gone, WrongUse
from nunatak.session import Broker
from nunatak.settings import Settings


def submit_by_hand(broker: Broker, settings: Settings, site: Site, count: int, names: Sequence[str], tell: Callable[[Block], None]) -> None:
    """Submit so many blocks for the campaigns of these names, or for all; `tell` is told of each as soon as it is submitted.

    Raises WrongUse for more than the site allows, Gone while anything is unknown, and what submit_block raises. A person who submits does
    not wait for a back-off to end, but a pause must be lifted first.
    """
    campaigns = find_campaigns(broker.ledger, names) if names else []
    seen = _look(broker, settings, site)
    situation = _situation(site, seen, broker.ledger.now_s())
    for bound in limits(situation):
        if bound.most < count:
            more = f"{several(max(0, bound.most), 'block')} more"
            raise WrongUse(f"{count} blocks on {site.name}: {bound.why}, so {more} can be submitted now; nothing was submitted")
    broker.ledger.record_site(site.name, {"source": site.source, "provider": site.provider})
    for number in range(count):
        cap = Cap(seen=situation.seen + number, max_live=situation.seen + count, per_hour=site.submissions_per_hour)
        tell(submit_block(broker, settings, site, campaigns, cap))


def _look(broker: Broker, settings: Settings, site: Site) -> Seen:
    state_of(broker.ledger, site)
    providers = () if site.provider == "local" else (site.provider,)
    seen = look(broker.ledger, settings.home, providers=providers, timeout_s=site.cmd_timeout_s)
    if silence := seen.silence.get(site.provider):
        raise Gone(f"nothing was submitted to {site.name}, because {silence}; try again when its scheduler answers")
    if site.provider != "local" and (unknown := unknown_blocks(site, seen.blocks)):
        raise Gone(f"nothing was submitted to {site.name}, because {unknown_text(unknown)}; wait until it is known, or cancel it")
    return seen


def _situation(site: Site, seen: Seen, now: float) -> Situation:
    return Situation(site=site, target=Target(max_blocks=0, since=now), blocks=seen.blocks, others=seen.others, now=now)
