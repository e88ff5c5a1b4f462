"""`nunatak archive`: the file that the nodes of a block start from."""

import click

from nunatak.reach import settings_of
from nunatak.screen import say


@click.command("archive", epilog="Example: nunatak archive")
@click.option("--list", "with_list", is_flag=True, help="Print what is in it instead: the distributions with their versions.")
@click.pass_context
def command(context: click.Context, with_list: bool) -> None:
    """Build the archive that nodes start from, unless the present code has one, and print its path.

    Every block that is submitted does this by itself. Each node unpacks it into its own memory, and reads nothing else of nunatak's from
    the shared filesystem.
    """
    # `nunatak --help` needs none of what builds it.
    from nunatak.archive import ensure_archive
    from nunatak.archive.contents import look

    home = settings_of(context).home
    home.create()
    path = ensure_archive(home)
    if with_list:
        click.echo("\n".join(look().distributions))
        return
    click.echo(str(path))
    say(f"{path.stat().st_size / 1e6:.1f} MB; the three used last are kept")
