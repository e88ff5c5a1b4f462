"""Reads a site from its TOML file: `slurm_templates/sites/NAME.toml`, or a file of the user's own."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launcher.errors import BadSite, NoSite, did_you_mean
from launcher.shipped import SITES_DIR
from launcher.site import CHECKS, Site, complaint

#: tomllib says where only in its message (Python 3.14 is the first with an attribute).
_TOML_LINE = re.compile(r"\(at line (\d+), column \d+\)")


def load_site(name_or_path: str, folders: Sequence[Path] = (SITES_DIR,)) -> Site:
    """The site of this name in the first folder that has it, or of this path (anything with a slash or ending in `.toml`)."""
    return read_site(_find(name_or_path, folders))


def site_names(folders: Sequence[Path] = (SITES_DIR,)) -> tuple[str, ...]:
    """The names that `-f` takes."""
    return tuple(sorted({file.stem for folder in folders for file in folder.glob("*.toml")}))


def read_site(path: Path) -> Site:
    """The site in this file. Raises BadSite with file, line and remedy, NoSite if the file cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise NoSite(f"cannot read the site file {path}: {error.strerror}. Give its name or its path with -f") from error
    except UnicodeDecodeError as error:
        raise BadSite(path, 1, f"the file is not UTF-8 (byte {error.start})", "Save it as UTF-8") from error
    return parse_site(path, text)


def parse_site(path: Path, text: str) -> Site:
    """The site in this text; `path` gives its name and stands in the errors."""
    values = _parse_toml(path, text)
    for key, value in values.items():
        if key not in CHECKS:
            raise BadSite(path, _line_of(text, key), f"unknown key {key!r}", did_you_mean(key, CHECKS))
        if reason := complaint(key, value):
            raise BadSite(path, _line_of(text, key), reason, f"Correct the value of {key}")
    try:
        return Site(name=path.stem, **values)
    except ValueError as error:
        raise BadSite(path, _line_of(text, "nodes_per_block"), str(error), "Correct or remove the line") from error


def _find(name_or_path: str, folders: Sequence[Path]) -> Path:
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        return Path(name_or_path).expanduser()
    for folder in folders:
        if (file := folder / f"{name_or_path}.toml").is_file():
            return file
    raise NoSite(f"no site is called {name_or_path!r}. {did_you_mean(name_or_path, site_names(folders))}")


def _parse_toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _TOML_LINE.search(str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise BadSite(path, line, f"not TOML: {error}", "Lines are KEY = VALUE, texts stand in quotes") from error


def _line_of(text: str, key: str) -> int:
    """The line on which a top-level key or its table stands; 1 if it is spelled in a way that we do not search for."""
    name = re.escape(key)
    found = re.search(rf"""^[ \t]*(?:\[+\s*)?["']?{name}["']?[ \t]*[=.\]]""", text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 1
