"""The sites that one home knows: the user's own in `$NUNATAK_HOME/sites`, and those that we ship."""

from pathlib import Path

from broker.home import Home
from launcher.shipped import SITES_DIR
from launcher.site import Site
from launcher.site_file import load_site
from nunatak.screen import say


def own_folder(home: Home) -> Path:
    """Where the user's own site files are."""
    return home.sites_dir


def site_folders(home: Home) -> tuple[Path, ...]:
    """Where a site's name is looked for, the first first."""
    return own_folder(home), SITES_DIR


def chosen_site(home: Home, word: str) -> Site:
    """The site that `-f` names, after saying what its user should know of it. Raises NoSite, BadSite."""
    site = load_site(word, site_folders(home))
    for note in site.notes:
        say(note)
    return site
