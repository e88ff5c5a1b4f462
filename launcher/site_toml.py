"""Reads what a TOML file says of a site: `slurm_templates/sites/NAME.toml`, or a file of the user's own."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from launcher.errors import BadSite, NoSite
from launcher.parsl_config import read_parsl_config
from launcher.shipped import TEMPLATES_DIR
from launcher.site_values import SiteValues

#: tomllib says where only in its message (Python 3.14 is the first with an attribute).
_TOML_LINE = re.compile(r"\(at line (\d+), column \d+\)")
#: Keys that name a file; a relative path begins at the site file's own folder.
_TEMPLATES = ("block_template", "node_template")


def read_toml(path: Path) -> SiteValues:
    """What this file says. Raises BadSite with file, line and remedy, NoSite if the file cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise NoSite(f"cannot read the site file {path}: {error.strerror}. Give its name or its path with -f") from error
    except UnicodeDecodeError as error:
        raise BadSite(path, 1, f"the file is not UTF-8 (byte {error.start})", "Save it as UTF-8") from error
    return parse_toml(path, text)


def parse_toml(path: Path, text: str) -> SiteValues:
    """What this text says; `path` stands in the errors, and relative paths in it begin at its folder."""
    values = _parse(path, text)
    if isinstance(values.get("banned_options"), list):
        values["banned_options"] = tuple(values["banned_options"])
    for key in _TEMPLATES:
        if isinstance(values.get(key), str):
            values[key] = _template(path, line_of(text, key), key, values[key])
    own = SiteValues(path=path, values=values, place_of=lambda key, nth: (path, line_of(text, key, nth)))
    return _over_parsl_config(own) if isinstance(values.get("parsl_config"), str) else own


def line_of(text: str, key: str, nth: int | None = None) -> int:
    """The line on which a top-level key or its table stands, or the n-th line (from 0) of its text; 1 if it is spelled unusually."""
    found = re.search(rf"""^[ \t]*(?:\[+\s*)?["']?{re.escape(key)}["']?[ \t]*[=.\]](.*)""", text, re.MULTILINE)
    if found is None:
        return 1
    line = text.count("\n", 0, found.start()) + 1
    # TOML drops a line end that follows the opening quotes directly.
    return line if nth is None else line + nth + (found[1].strip() in (3 * '"', 3 * "'"))


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _TOML_LINE.search(str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        raise BadSite(path, line, f"not TOML: {error}", "Lines are KEY = VALUE, texts stand in quotes") from error


def _template(path: Path, line: int, key: str, name: str) -> str:
    """One of ours stays a name; the user's own becomes an absolute path."""
    own = path.parent.absolute() / os.path.expanduser(name)
    if own.is_file():
        return str(own)
    if "/" not in name and (TEMPLATES_DIR / name).is_file():
        return name
    shipped = ", ".join(sorted(file.name for file in TEMPLATES_DIR.glob("*.sh")))
    raise BadSite(path, line, f"{key}={name!r}: there is no file {own}", f"Give the path of a template, or one of ours: {shipped}")


def _over_parsl_config(own: SiteValues) -> SiteValues:
    """The Parsl config that the file names says the rest; what the file says itself holds."""
    config = read_parsl_config(own.path.parent / os.path.expanduser(own.values["parsl_config"]))
    kind = config.values["provider"]
    if own.values.get("provider", kind) != kind:
        reason = f"provider={own.values['provider']!r}: the provider in {config.path} is one for provider={kind!r}"
        raise BadSite(*own.place_of("provider", None), reason, "Remove the line")
    return SiteValues(
        path=own.path,
        values={**config.values, **own.values, "parsl_config": config.values["parsl_config"]},
        place_of=lambda key, nth: (own if key in own.values else config).place_of(key, nth),
        notes=config.notes,
    )
