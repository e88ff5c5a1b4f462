"""Where output goes: data to standard output, as a table on a terminal and as plain lines elsewhere; words to standard error."""

import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

#: Rows laid out at a time: the widths of the first ones hold for a list of a million too.
_PAGE = 500


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table."""

    title: str
    #: Figures stand to the right.
    right: bool = False
    #: Takes what room is left, and is broken into lines where that is too little; the others are never broken.
    wide: bool = False


def say(text: str) -> None:
    """A word to the user, on standard error."""
    click.echo(printable(text), err=True)


def printable(text: str) -> str:
    """Text that any UTF-8 terminal takes: bytes of a name that are not UTF-8 show as replacement characters."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def on_terminal() -> bool:
    return sys.stdout.isatty()


def console() -> "Console":
    """The console of standard output; text is taken as it is, not as markup."""
    from rich.console import Console

    return Console(file=sys.stdout, markup=False, highlight=False, emoji=False, soft_wrap=not on_terminal())


def wrapped(text: str) -> str:
    """A sentence in as many lines as a terminal needs for it, the later ones indented; one line where there is no terminal."""
    if not on_terminal():
        return text
    indent = len(text) - len(text.lstrip()) + 2
    # A path or a command that is broken cannot be copied.
    return textwrap.fill(
        text, shutil.get_terminal_size().columns, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Rows under their titles; nothing at all, not even titles, if there is no row."""
    pages = _pages(rows)
    first = next(pages, None)
    if first is None:
        return
    lay_out = _rich_page if on_terminal() else _plain_page
    lay_out(columns, first, True)
    for page in pages:
        lay_out(columns, page, False)


def _pages(rows: Iterable[Sequence[str]]) -> Iterator[list[list[str]]]:
    iterator = iter(rows)
    while page := [[printable(cell) for cell in row] for row in islice(iterator, _PAGE)]:
        yield page


def _rich_page(columns: Sequence[Column], rows: Sequence[Sequence[str]], titles: bool) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=titles, header_style="bold")
    for column in columns:
        table.add_column(column.title, justify="right" if column.right else "left", no_wrap=not column.wide, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console().print(table)


def _plain_page(columns: Sequence[Column], rows: Sequence[Sequence[str]], titles: bool) -> None:
    shown = [[c.title for c in columns], *rows] if titles else rows
    widths = [max(len(row[i]) for row in shown) for i in range(len(columns))]
    for row in shown:
        cells = (cell.rjust(width) if c.right else cell.ljust(width) for c, cell, width in zip(columns, row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
