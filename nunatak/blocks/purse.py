"""What blocks can cost is said before they are submitted, asked about where it is much, and bounded where its user bounds it."""

import sys

import click

from launcher.cost import format_su, su_max
from launcher.site import Site
from nunatak.blocks.words import several
from nunatak.errors import Interrupted, WrongUse
from nunatak.screen import say
from nunatak.settings import Settings


def check_bound(site: Site, max_su: float | None) -> None:
    """Raises WrongUse for a bound that nobody can keep."""
    if max_su is not None and site.block_su_max is None:
        what = f"--max-su {max_su:g}: site {site.name} gives no walltime, so nobody can say what a block costs"
        raise WrongUse(f"{what}; add one to {site.source}")


def refuse_over(site: Site, count: int, max_su: float | None) -> None:
    """Raises WrongUse if so many blocks can cost more than this."""
    check_bound(site, max_su)
    cost = su_max(site, count)
    if max_su is not None and cost is not None and cost > max_su:
        raise WrongUse(f"{cost_text(site, count)}, more than --max-su {max_su:g}; nothing was submitted")


def cost_text(site: Site, count: int, max_su: float | None = None) -> str:
    """What so many blocks are and can cost."""
    each = f"{several(site.nodes_per_block, 'node')} for at most {site.walltime or 'any time'}"
    text = f"{several(count, 'block')} of {each} on {site.name}: {format_su(su_max(site, count))} at most"
    return text if max_su is None else f"{text}; all blocks for this together: {format_su(max_su)} at most"


def agree(site: Site, count: int, settings: Settings, *, yes: bool, max_su: float | None = None, ask: bool | None = None) -> None:
    """Say what `count` blocks can cost, and go on only if that is little, or its user agrees. Raises WrongUse, Interrupted.

    `ask`: somebody is there who can answer; by default, if standard input is a terminal.
    """
    say(cost_text(site, count, max_su))
    cost = su_max(site, count)
    if max_su is not None and cost is not None:
        cost = min(cost, max_su)
    if yes or (cost is not None and cost <= settings.launcher.confirm_su):
        return
    limit = f"may cost more than confirm_su, {format_su(settings.launcher.confirm_su)}"
    if not (sys.stdin.isatty() if ask is None else ask):
        raise WrongUse(f"this {limit}, and nobody is there to be asked: give --yes; nothing was submitted")
    if not click.confirm(f"This {limit}. Submit?", err=True):
        raise Interrupted("nothing was submitted")
