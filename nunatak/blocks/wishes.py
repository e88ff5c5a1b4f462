"""The wishes of a home's user for its sites: how many blocks shall follow the queue, kept in the ledger until they are taken back."""

import time
from collections.abc import Sequence
from dataclasses import replace

from broker.ledger import Ledger
from launcher.site import Site
from launcher.targets import SiteState, Target, field_of
from nunatak.errors import WrongUse


def most_blocks(site: Site, given: int | None) -> int:
    """How many blocks there may be: what was asked for, else what the site says; raises WrongUse if nobody has said."""
    limits = [limit for limit in (site.max_running, site.max_submitted) if limit is not None]
    wanted = given if given is not None else site.max_blocks
    if wanted is None and not limits:
        raise WrongUse(f"nobody has said how many blocks there may be on {site.name}: add max_blocks to {site.source}")
    return min([*limits, *([] if wanted is None else [wanted])])


def state_of(ledger: Ledger, site: Site) -> SiteState:
    """What is remembered of the site. Raises WrongUse if another file's site has its name and its blocks, or wishes."""
    state = SiteState.from_fields(ledger.site(site.name))
    if state.source and state.source != site.source and state.targets:
        raise WrongUse(f"{state.source} is followed under the name {site.name}; end that with nunatak blocks scale "
                       f"-f {state.source} --max 0, or rename {site.source}")
    return state


def wish(ledger: Ledger, site: Site, target: Target) -> Target:
    """Record it. An earlier wish for the same campaigns is changed: what it has spent counts, also against a new bound."""
    before = state_of(ledger, site).target(target.campaigns)
    target = replace(target, since=before.since if before else target.since)
    ledger.record_site(site.name, {"source": site.source, "provider": site.provider, **target.to_fields()})
    return target


def take_back(ledger: Ledger, site_name: str, campaigns: Sequence[str]) -> bool:
    """Remove it; False if there was none."""
    there = SiteState.from_fields(ledger.site(site_name)).target(campaigns) is not None
    if there:
        ledger.record_site(site_name, {field_of(campaigns): "", "held": "", "held_since": ""})
    return there


def take_all_back(ledger: Ledger) -> list[str]:
    """Remove all wishes; the sites that had some."""
    states = {name: SiteState.from_fields(fields) for name, fields in ledger.sites().items()}
    for name, state in states.items():
        for target in state.targets:
            take_back(ledger, name, target.campaigns)
    return [name for name, state in states.items() if state.targets]


def go_on(ledger: Ledger, site_name: str) -> bool:
    """A person's word that the cause of failures is gone: they are forgiven. False if nothing was held back because of them."""
    state = SiteState.from_fields(ledger.site(site_name))
    # What has ended is forgiven also if the scheduler's clock is ahead of ours.
    ends = [float(b.fields.get("ended_at") or 0.0) for b in ledger.blocks() if b.fields.get("site") == site_name]
    forgiven = {"resumed_at": f"{max([time.time(), *ends]):.3f}"}
    ledger.record_site(site_name, forgiven | dict.fromkeys(("paused", "paused_at", "held", "held_since"), ""))
    return bool(state.paused or state.held)


def target_text(target: Target) -> str:
    """`follows the queue of a, b with 0 to 10 blocks, for 500 SU at most`."""
    of = f" of {', '.join(target.campaigns)}" if target.campaigns else ""
    su = "" if target.max_su is None else f", for {target.max_su:,.0f} SU at most"
    return f"follows the queue{of} with {target.min_blocks} to {target.max_blocks} blocks{su}"
