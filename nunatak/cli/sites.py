"""`nunatak sites`: the sites that `-f` knows, and a copy of one to be the user's own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from broker.home import Home
from launcher.errors import LauncherError
from launcher.site import Site, is_site_name
from launcher.site_checks import CHECKS
from launcher.site_file import find_site, read_site, site_files
from launcher.site_toml import line_of
from nunatak.errors import WrongUse
from nunatak.exit_codes import ExitCode
from nunatak.reach import settings_of
from nunatak.screen import Column, print_table, printable, say
from nunatak.shown import as_json
from nunatak.sites import chosen_site, own_folder, site_folders

#: What a user edits in a copy: the five knobs that Parsl's users know.
KNOBS = ("max_workers", "partition", "scheduler_options", "worker_init", "walltime")
_COLUMNS = (
    Column(title="SITE"),
    Column(title="PROVIDER"),
    Column(title="PARTITION"),
    Column(title="NODES", right=True),
    Column(title="SLOTS", right=True),
    Column(title="WALLTIME", right=True),
    Column(title="SU", right=True),
    Column(title="FROM", wide=True),
)


@click.group("sites", epilog="Example: nunatak sites list")
def command() -> None:
    """List sites, look at one, make one your own, or check a file.

    A site says what blocks look like and may cost on one cluster. `-f SITE` takes its name, the path of a site file, or the path of a Parsl
    config module, with or without .toml or .py. A name is looked for in $NUNATAK_HOME/sites, then among those that nunatak brings, then in
    the working directory.
    """


@command.command("list", short_help="The sites that have a name.", epilog="Example: nunatak sites list --json")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object per line: all keys of the site.")
@click.pass_context
def list_(context: click.Context, json_lines: bool) -> None:
    """List the sites that -f takes by name, with their blocks: nodes, slots on each, and SU that one block costs at most."""
    sites, bad = _all_sites(settings_of(context).home)
    if json_lines:
        for site in sites:
            click.echo(as_json(site_line(site)))
    else:
        print_table(_COLUMNS, map(_row, sites))
    for error in bad:
        say(str(error))
    context.exit(ExitCode.WRONG_USE if bad else ExitCode.WELL)


def _all_sites(home: Home) -> tuple[list[Site], list[LauncherError]]:
    sites, bad = [], []
    for file in site_files(site_folders(home)).values():
        try:
            sites.append(read_site(file))
        except LauncherError as error:
            bad.append(error)
    return sites, bad


def _row(site: Site) -> list[str]:
    return [
        site.name,
        site.provider,
        site.partition or "-",
        str(site.nodes_per_block),
        str(site.max_workers or "all"),
        site.walltime or "-",
        _su(site),
        site.source,
    ]


def _su(site: Site) -> str:
    return "?" if site.block_su_max is None else f"{site.block_su_max:,.10g}"


@command.command("show", short_help="All keys of one site.", epilog="Example: nunatak sites show stampede3-skx")
@click.argument("site", metavar="SITE")
@click.option("--json", "json_object", is_flag=True, help="One JSON object: all keys of the site.")
@click.pass_context
def show(context: click.Context, site: str, json_object: bool) -> None:
    """Show every key of one site, given by its name or its file."""
    found = chosen_site(settings_of(context).home, site)
    line = site_line(found)
    if json_object:
        click.echo(as_json(line))
        return
    print_table([Column(title="KEY"), Column(title="VALUE", wide=True)], [[key, _text(value)] for key, value in line.items()])


def site_line(site: Site) -> Mapping[str, Any]:
    """One line of `nunatak sites list --json`; what is not known, or has no limit, is null."""
    keys = {key: getattr(site, key) for key in CHECKS}
    return {"name": site.name, **keys, "block_su_max": site.block_su_max, "source": site.source}


def _text(value: Any) -> str:
    if value is None or value == "" or value == ():
        return "-"
    return " ".join(value) if isinstance(value, tuple) else str(value).strip("\n")


@command.command("copy", short_help="Make a site your own.", epilog="Example: nunatak sites copy stampede3-skx skx-short")
@click.argument("site", metavar="SITE")
@click.argument("new", metavar="[NEW]", required=False)
@click.pass_context
def copy(context: click.Context, site: str, new: str | None) -> None:
    """Copy a site's file to $NUNATAK_HOME/sites, to be edited there; a copy of the same name is taken in the place of the original."""
    home = settings_of(context).home
    original = find_site(site, site_folders(home))
    name = new or original.stem
    if not is_site_name(name):
        raise WrongUse(f"{name!r} is no site's name: use letters, digits, and . _ - between them")
    file = own_folder(home) / f"{name}{original.suffix}"
    for folder in (home.root, file.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_new(file, original.read_bytes())
    click.echo(printable(str(file)))
    for line in _where_to_edit(file):
        say(line)
    # A path that was relative to the original's folder leads nowhere now.
    read_site(file)


def _write_new(file: Path, content: bytes) -> None:
    taken = [other for other in file.parent.glob(f"{file.stem}.*") if other.suffix in (".toml", ".py")]
    if taken:
        raise WrongUse(f"{taken[0]} exists: give another name, nunatak sites copy SITE NEW, or remove it first")
    with file.open("xb") as new:
        new.write(content)


def _where_to_edit(file: Path) -> list[str]:
    if file.suffix == ".py":
        return [f"it is used with -f {file.stem}"]
    lines = file.read_text(encoding="utf-8").splitlines()
    numbers = sorted({line_of("\n".join(lines), knob) for knob in KNOBS})
    return ["edit in it:", *(f"  line {number}: {lines[number - 1]}" for number in numbers), f"then: nunatak sites check {file.stem}"]


@command.command("check", short_help="Check a site file before it is used.", epilog="Example: nunatak sites check slurm")
@click.argument("site", metavar="FILE")
@click.pass_context
def check(context: click.Context, site: str) -> None:
    """Check a site file or a Parsl config, given by its path or its name: what is wrong is named with its line and what to do.

    Nothing is submitted and the scheduler is not asked.
    """
    found = chosen_site(settings_of(context).home, site)
    click.echo(printable(f"{found.source} is well: {block_text(found)}"))


def block_text(site: Site) -> str:
    """What one block of the site is, and what it costs."""
    nodes = "1 node" if site.nodes_per_block == 1 else f"{site.nodes_per_block} nodes"
    slots = f"max_workers = {site.max_workers}" if site.max_workers else "one slot per processor"
    cost = "nobody can say what it costs" if site.block_su_max is None else f"{_su(site)} SU at most"
    return f"a block has {nodes}, {slots}, for {site.walltime or 'any time'}; {cost}"
