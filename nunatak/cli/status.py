"""`nunatak status`: the whole queue at a glance, and what its user should know."""

from collections.abc import Iterator

import click

from broker.records import Campaign, State
from nunatak.eta import format_eta
from nunatak.overview import Overview, counts_text, notices, paused_text, read_overview
from nunatak.reach import NothingYet, reach, settings_of
from nunatak.screen import on_terminal, printable, say, wrapped
from nunatak.shown import as_json, empty_status

_BAR = 30
#: The bar's pieces, in order, with their colours.
_PIECES = ((State.DONE, "green"), (State.RUNNING, "cyan"))
_BAD = (State.FAILED, State.QUARANTINED, State.CANCELLED)


@click.command("status", epilog="Example: nunatak status --json | jq .eta_s")
@click.option("--json", "json_object", is_flag=True, help="One JSON object: counts, slots, workers, blocks, eta_s, campaigns.")
@click.pass_context
def command(context: click.Context, json_object: bool) -> None:
    """Show how far every campaign is, how long the rest may take, and what needs a look."""
    try:
        with reach(settings_of(context)) as broker:
            overview = read_overview(broker.client)
    except NothingYet as nothing:
        if json_object:
            click.echo(as_json(empty_status()))
        say(str(nothing))
        return
    if json_object:
        click.echo(as_json(overview.as_dict()))
        return
    for line in text_lines(overview, coloured=on_terminal()):
        click.echo(line)


def text_lines(overview: Overview, *, coloured: bool) -> Iterator[str]:
    """What a person reads; without colours it has no bar either."""
    if not overview.campaigns:
        yield "nothing is enqueued: enqueue-jobfiles DIR"
    for campaign in overview.campaigns:
        yield from _campaign_lines(campaign, coloured)
    yield wrapped(_summary(overview))
    for notice in notices(overview):
        yield wrapped(printable(f"! {notice}"))


def _campaign_lines(campaign: Campaign, coloured: bool) -> Iterator[str]:
    name = printable(campaign.name)
    share = f"{_percent(campaign):3d}%"
    yield f"{click.style(name, bold=True)}\n  {bar(campaign)} {share}" if coloured else f"{name} {share.strip()}"
    yield wrapped(f"  {counts_text(campaign)}")
    if campaign.paused:
        yield click.style(wrapped(printable(f"  {paused_text(campaign)}")), fg="yellow")


def _percent(campaign: Campaign) -> int:
    """How many of a hundred are done; 100 only when all are."""
    return 100 * campaign.counts[State.DONE] // campaign.total if campaign.total else 0


def bar(campaign: Campaign) -> str:
    """Done, running and badly ended as coloured pieces; whatever exists shows with one cell at least."""
    total = max(1, campaign.total)
    sizes = {colour: campaign.counts[state] for state, colour in _PIECES} | {"red": sum(campaign.counts[s] for s in _BAD)}
    cells = {colour: max(1, _BAR * n // total) if n else 0 for colour, n in sizes.items()}
    largest = max(cells, key=lambda colour: cells[colour])
    cells[largest] -= max(0, sum(cells.values()) - _BAR)
    pieces = "".join(click.style("━" * n, fg=colour) for colour, n in cells.items())
    return pieces + click.style("━" * (_BAR - sum(cells.values())), dim=True)


def _summary(overview: Overview) -> str:
    """Workers, slots, blocks, and when it may be over."""
    heard, frozen = overview.heard, sum(w.frozen for w in overview.heard)
    parts = [_several(len(heard), "worker"), _several(sum(w.slots for w in heard), "slot"), _several(len(overview.live_blocks), "block")]
    if frozen:
        parts.append(f"{frozen} frozen")
    eta = format_eta(overview.eta) if not all(c.has_ended for c in overview.campaigns) else ""
    return ", ".join(parts) + (f"; {eta} left" if eta else "")


def _several(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
