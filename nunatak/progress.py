"""How far a run is, while it is: a bar with an ETA on a terminal, plain lines elsewhere; both on standard error."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from broker.records import Campaign, State
from nunatak.eta import format_eta
from nunatak.overview import counts_text
from nunatak.screen import printable, say
from tasks.quantity import format_duration

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: Plain lines: at most one in this time, and one at least in this time, so that a log shows that somebody lives.
_EVERY_S, _AT_LEAST_S = 5.0, 600.0
#: Longer names are cut on a terminal.
_NAME_WIDTH = 28


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A campaign at one moment."""

    campaign: Campaign
    #: Seconds until all have ended, (low, high); None: not known yet.
    eta: tuple[float, float] | None = None

    @property
    def ended(self) -> int:
        return self.campaign.total - self.campaign.counts[State.QUEUED] - self.campaign.counts[State.RUNNING]

    @property
    def percent(self) -> int:
        """Of those that have ended; 100 only when all have."""
        return 100 * self.ended // self.campaign.total if self.campaign.total else 100


def plain_line(snapshot: Snapshot) -> str:
    """`region_03_conus-2m 62%: 25 of 40 done, 2 running, 13 waiting; about 20s to go`."""
    eta = format_eta(snapshot.eta) if not snapshot.campaign.has_ended else ""
    return f"{snapshot.campaign.name} {snapshot.percent}%: {counts_text(snapshot.campaign)}" + (f"; {eta} to go" if eta else "")


def is_due(since_s: float, changed: bool) -> bool:
    """Whether a plain line is written, `since_s` after the last one."""
    return since_s >= (_EVERY_S if changed else _AT_LEAST_S)


class Progress(Protocol):
    """What both kinds do."""

    def show(self, snapshot: Snapshot) -> None:
        """This is how far it is."""

    def note(self, text: str) -> None:
        """A word to the user, in between."""

    def close(self) -> None:
        """No more comes."""


class PlainProgress:
    """Lines: the first and the last state, and what changes in between."""

    def __init__(self, tell: Callable[[str], object] = say, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._clock = clock
        self._told = ""
        self._at = 0.0
        self._last: Snapshot | None = None

    def show(self, snapshot: Snapshot) -> None:
        self._last = snapshot
        if not self._told or is_due(self._clock() - self._at, _counts(snapshot) != self._told):
            self._line(snapshot)

    def note(self, text: str) -> None:
        self._tell(text)

    def close(self) -> None:
        if self._last is not None and _counts(self._last) != self._told:
            self._line(self._last)

    def _line(self, snapshot: Snapshot) -> None:
        self._told, self._at = _counts(snapshot), self._clock()
        self._tell(plain_line(snapshot))


def _counts(snapshot: Snapshot) -> str:
    return counts_text(snapshot.campaign)


class Bar:
    """Two lines that are drawn anew: the bar, and the counts with the ETA."""

    def __init__(self, console: "Console", clock: Callable[[], float] = time.monotonic) -> None:
        from rich.live import Live

        self._console = console
        self._clock = clock
        self._since = clock()
        self._snapshot: Snapshot | None = None
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=2, transient=True)

    def show(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        # Does nothing if it is started.
        self._live.start()

    def note(self, text: str) -> None:
        self._console.print(printable(text), markup=False, highlight=False)

    def close(self) -> None:
        self._live.stop()

    def _render(self) -> "RenderableType":
        return "" if self._snapshot is None else drawing(self._snapshot, self._clock() - self._since)


def drawing(snapshot: Snapshot, elapsed_s: float) -> "RenderableType":
    """The bar with name, percent and time on one line, the counts with the ETA below it."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    campaign = snapshot.campaign
    bar = Table.grid(expand=True, padding=(0, 1))
    bar.add_column(no_wrap=True, overflow="ellipsis", max_width=_NAME_WIDTH)
    bar.add_column(ratio=1)
    # The bar must not change its length with the figures.
    bar.add_column(justify="right", no_wrap=True, min_width=4)
    bar.add_column(justify="right", no_wrap=True, min_width=7)
    done = ProgressBar(total=max(1, campaign.total), completed=snapshot.ended)
    bar.add_row(Text(printable(campaign.name), style="bold"), done, f"{snapshot.percent}%", format_duration(int(elapsed_s)))
    eta = format_eta(snapshot.eta) if not campaign.has_ended else ""
    return Group(bar, Padding(Text(counts_text(campaign) + (f"; {eta} to go" if eta else "")), (0, 0, 0, 2)))


def open_progress() -> Progress:
    """A bar if standard error is a terminal that can draw one, else plain lines."""
    if not sys.stderr.isatty():
        return PlainProgress()
    from rich.console import Console

    console = Console(stderr=True)
    return PlainProgress() if console.is_dumb_terminal else Bar(console)
