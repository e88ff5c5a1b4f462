"""Finds and reads the site that `-f` names: a site file, or a Parsl config."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from launcher.errors import NoSite, did_you_mean
from launcher.parsl_config import read_parsl_config
from launcher.shipped import SITES_DIR
from launcher.site import Site
from launcher.site_toml import read_toml

#: In this order, where both exist: a site file may name a Parsl config and say more than it can.
_SUFFIXES = (".toml", ".py")


def load_site(word: str, folders: Sequence[Path] = (SITES_DIR,)) -> Site:
    """The site of this name or path. Raises NoSite, BadSite.

    What has a slash or ends in `.toml` or `.py` is a path, of which the ending may be left out. Anything else is a name: `NAME.toml`, then
    `NAME.py`, in each of the folders and then in the working directory. The site's notes say which file was taken where there were two.
    """
    taken, *others = _found(word, folders)
    return read_site(taken, *_passed_over(taken, others))


def find_site(word: str, folders: Sequence[Path] = (SITES_DIR,)) -> Path:
    """The file that `load_site` would read. Raises NoSite."""
    return _found(word, folders)[0]


def read_site(path: Path, *notes: str) -> Site:
    """The site in this file, with these notes before its own. Raises BadSite with file, line and remedy, NoSite if it cannot be read."""
    read = read_parsl_config if path.suffix == ".py" else read_toml
    return read(path).to_site(*notes)


def site_files(folders: Sequence[Path] = (SITES_DIR,)) -> dict[str, Path]:
    """The names that `-f` takes wherever one stands, each with its file."""
    found: dict[str, Path] = {}
    for folder in folders:
        for suffix in _SUFFIXES:
            for file in sorted(folder.glob(f"*{suffix}")):
                found.setdefault(file.stem, file)
    return dict(sorted(found.items()))


def _is_path(word: str) -> bool:
    return "/" in word or word.endswith(_SUFFIXES)


def _candidates(word: str, folders: Sequence[Path]) -> Iterator[Path]:
    # The working directory is last: a file that happens to lie there must not take the place of a site that is known.
    for folder in [Path()] if _is_path(word) else [*folders, Path()]:
        for suffix in [""] if word.endswith(_SUFFIXES) else _SUFFIXES:
            # Not Path.expanduser, which raises where nobody is called so.
            yield folder / os.path.expanduser(f"{word}{suffix}")


def _found(word: str, folders: Sequence[Path]) -> list[Path]:
    found = [path for path in _candidates(word, folders) if path.is_file()]
    if not found:
        raise NoSite(_nothing(word, folders))
    return found


def _passed_over(taken: Path, others: Sequence[Path]) -> Iterator[str]:
    if others:
        yield f"site {taken.stem} is {taken}; to have {' or '.join(map(str, others))} instead, give that path with -f"


def _nothing(word: str, folders: Sequence[Path]) -> str:
    if _is_path(word):
        endings = "" if word.endswith(_SUFFIXES) else f" ({' or '.join(word + suffix for suffix in _SUFFIXES)})"
        return f"there is no site file {word}{endings}. Correct the path; nunatak sites list shows the sites that have a name"
    return f"no site is called {word!r}, and no file here. {did_you_mean(word, site_files(folders))}"
