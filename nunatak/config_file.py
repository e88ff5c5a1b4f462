"""Reads `config.toml`: which settings it gives, each with its file and line; what it cannot mean is an error with a remedy."""

import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nunatak.errors import BadSettings

_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""\s*["']?([\w.-]+)["']?\s*=""")
#: tomllib says where only in its message (Python 3.14 is the first with an attribute).
_TOML_LINE = re.compile(r"\(at line (\d+), column \d+\)")
_REMEDIES = {bool: "write true or false", int: "write a whole number", float: "write a number", str: "write a text in quotes"}


@dataclass(frozen=True, kw_only=True)
class Given:
    """A value that somebody has set."""

    value: object
    #: "FILE:LINE" or "$VARIABLE".
    place: str


def read_config(path: Path, sections: Mapping[str, Mapping[str, type]]) -> dict[tuple[str, str], Given]:
    """(section, key) -> value and place of every setting in the file; nothing if there is no file. Raises BadSettings."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path}: cannot be read: {error}; correct or remove it") from error
    lines = Lines(path, text)
    return {(section, key): given for section, key, given in _settings(lines, _parse(lines), sections)}


class Lines:
    """A file's text, and on which line a setting stands."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.text = text
        self._places = dict(reversed(list(_places(text))))

    def place(self, *names: str) -> str:
        """FILE:LINE of a section or a setting; the line of the nearest enclosing thing if it is spelled in an unusual way."""
        while names and ".".join(names) not in self._places:
            names = names[:-1]
        return f"{self.path}:{self._places.get('.'.join(names), 1)}"


def _places(text: str) -> Iterator[tuple[str, int]]:
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            section = header[1].strip("\"'")
            yield section, number
        elif key := _KEY.match(line):
            yield f"{section}.{key[1]}" if section else key[1], number


def _parse(lines: Lines) -> dict[str, Any]:
    try:
        return tomllib.loads(lines.text)
    except tomllib.TOMLDecodeError as error:
        found = _TOML_LINE.search(str(error))
        line = int(found[1]) if found else lines.text.count("\n") + 1
        raise BadSettings(f"{lines.path}:{line}: not TOML: {error}; a line is KEY = VALUE, texts stand in quotes") from error


def _settings(
    lines: Lines, parsed: Mapping[str, Any], sections: Mapping[str, Mapping[str, type]]
) -> Iterator[tuple[str, str, Given]]:
    for section, body in parsed.items():
        if section not in sections:
            home = next((f"; {section} belongs under [{s}]" for s, keys in sections.items() if section in keys), None)
            raise BadSettings(f"{lines.place(section)}: there is no section [{section}]{home or _hint(section, sections)}")
        if not isinstance(body, dict):
            raise BadSettings(f"{lines.place(section)}: {section} is a section; write [{section}] on a line of its own, its settings below")
        for key, value in body.items():
            place = lines.place(section, key)
            yield section, key, Given(value=_checked(place, section, key, value, sections[section]), place=place)


def _checked(place: str, section: str, key: str, value: object, keys: Mapping[str, type]) -> object:
    if key not in keys:
        raise BadSettings(f"{place}: there is no setting {key!r} in [{section}]{_hint(key, keys)}")
    kind = keys[key]
    if not _is_a(value, kind):
        raise BadSettings(f"{place}: {key}={value!r}: {_REMEDIES[kind]}")
    return float(value) if kind is float else value  # type: ignore[arg-type]  # _is_a has made sure of it


def _is_a(value: object, kind: type) -> bool:
    """Whole numbers do for numbers; true and false, which Python counts as numbers, do not; neither do inf and nan."""
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return type(value) is kind


def _hint(word: str, known: Iterable[str]) -> str:
    names = list(known)
    close = nearest(word, names)
    return f"; did you mean {close}?" if close else f"; there are {', '.join(names)}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that this one was probably meant to be."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)), None)
