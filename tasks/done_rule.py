"""The done rule: which files show that a jobfile has done its work, as data that a header or a campaign carries.

A rule is a preset's name, or patterns separated by blanks or commas (quoted as in a shell). For `/d/jobfiles/2m/qsub_A.sh`:

    {stem} qsub_A    {name} qsub_A.sh    {parent} 2m    {dir} /d/jobfiles/2m
    {stem[:47]}                  a slice, as in Python, of any of the first three
    {stem:qsub_=}                with that beginning replaced (here: taken off), of any of the first three; a slice may follow
    {dir:jobfiles=tif_results}   the last such part of the directory replaced: /d/tif_results/2m
    PATTERN      a regular file that is not empty       PATTERN?    it may be empty
    !PATTERN     nothing may be there                   !PATTERN/   no directory may be there

Relative patterns start at the jobfile's directory; `{{` and `}}` are braces. Name the file that is written last, or a
must-not-exist marker: a half-written file must not look done (LEASES rule 24).
"""

import difflib
import errno
import os
import re
import shlex
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from tasks.errors import BadRule, CannotLook, RuleDoesNotFit

EXIT_CODE = "exit-code"
_SETSM = "{dir:jobfiles=tif_results}/{stem:qsub_=[:47]}_{parent}/{stem:qsub_=}"
_SETSM_PRODUCTS = ("_dem_smooth.tif", "_matchtag.tif", "_ortho.tif", "_meta.txt")
#: What each preset stands for; `exit-code` looks at no file.
PRESETS = {
    # SETSM removes its working directory last, so its absence says that no file is half-written.
    "setsm-scene": " ".join((*(f"{_SETSM}{product}" for product in _SETSM_PRODUCTS), f"!{_SETSM}/")),
    # Such marker files are made with `touch`.
    "fin-file": "{stem}.fin?",
    EXIT_CODE: "",
}
_EXAMPLE = "write it as '{stem}.tif {stem}_meta.txt !{stem}.part', or one of the presets " + ", ".join(PRESETS)
_FIELDS = "use {stem}, {name}, {parent}, {dir}, {stem[:47]} or {dir:jobfiles=tif_results}"
_OTHER_RULE = "choose another rule with --done"
_TOKENS = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+")
_FIELD = re.compile(r"\{(stem|name|parent|dir)(?::([^=\[\]{}/]+)=([^=\[\]{}/]*))?(?:\[(-?[0-9]{0,4}):(-?[0-9]{0,4})\])?\}")
_RESOLUTION = re.compile(r"[0-9]+(\.[0-9]+)?(cm|dm|m)")
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES})
_NO_NAMES = frozenset({"", ".", ".."})


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One `{…}` of a pattern."""

    #: stem, name, parent or dir.
    source: str
    #: What is replaced (a beginning; for dir a whole part), None if nothing is.
    old: str | None
    new: str
    start: int | None
    stop: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pattern:
    """One word of a rule, taken apart."""

    text: str
    #: The parts between slashes, each a row of literal texts and fields.
    parts: tuple[tuple[str | Field, ...], ...]
    must_exist: bool
    #: With `must_exist` unset: only a directory is in the way.
    directory: bool
    may_be_empty: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """The paths that a rule names for one jobfile."""

    files: tuple[Path, ...]
    #: Paths where nothing (or, for `!PATTERN/`, no directory) may be.
    absent: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class DoneRule:
    """A parsed rule; two rules of the same text are equal."""

    text: str
    patterns: tuple[Pattern, ...] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "DoneRule":
        """The rule that a text means; raises BadRule with an example."""
        return _parse(text.strip())

    @classmethod
    def parse_for_campaign(cls, text: str) -> "DoneRule":
        """As `parse`, for many jobfiles: also refuses a rule by which the first one done would make all of them look done."""
        rule = cls.parse(text)
        if rule.patterns and not any(p.must_exist and _names_the_jobfile(p) for p in rule.patterns):
            reason = f"done rule {text!r} names the same files for every jobfile, so the first one done would end all of them"
            raise BadRule(reason, "use {stem} or {name} in it, as in '{stem}.tif'")
        return rule

    def expected(self, jobfile: Path) -> Expected:
        """The paths for one jobfile; raises RuleDoesNotFit if its name or place gives none."""
        words = _words_of(jobfile)
        files = tuple(Path(_expand(p, words)) for p in self.patterns if p.must_exist)
        return Expected(files=files, absent=tuple(Path(_expand(p, words)) for p in self.patterns if not p.must_exist))

    def is_done(self, jobfile: Path) -> bool | None:
        """Whether the outputs are there; None if the rule looks at none. A rule that does not fit is never met; raises CannotLook."""
        if not self.patterns:
            return None
        try:
            words = _words_of(jobfile)
            paths = [_expand(pattern, words) for pattern in self.patterns]
        except RuleDoesNotFit:
            return False
        # Files come first (see `_parse`): a marker that a writer removes last is looked at after what it guards.
        return all(_is_met(pattern, path) for pattern, path in zip(self.patterns, paths, strict=True))


def default_rule(directory: Path, names: Iterable[str]) -> str:
    """`setsm-scene` if DIR is `…/jobfiles/<resolution>` (2m, 50cm) and all names are `qsub_*.sh`, else `exit-code`."""
    listed = list(names)
    in_place = directory.parent.name == "jobfiles" and _RESOLUTION.fullmatch(directory.name) is not None
    named = bool(listed) and all(n.startswith("qsub_") and n.endswith(".sh") for n in listed)
    return "setsm-scene" if in_place and named else EXIT_CODE


@lru_cache(maxsize=4096)
def _parse(text: str) -> DoneRule:
    words = _words(PRESETS.get(text, text))
    if not words and text != EXIT_CODE:
        raise BadRule("the done rule is empty", _EXAMPLE)
    patterns = [_parse_pattern(word, text) for word in words]
    if words and not any(p.must_exist for p in patterns):
        raise BadRule(f"done rule {text!r} names no file that must be there, so nothing would ever run", _EXAMPLE)
    return DoneRule(text=text, patterns=tuple(sorted(patterns, key=lambda p: not p.must_exist)))


def _words(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace += ","
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError as error:
        raise BadRule(f"done rule {text!r}: its quotes or backslashes do not match", _EXAMPLE) from error


def _parse_pattern(word: str, rule: str) -> Pattern:
    body = word.removeprefix("!")
    must_exist, directory, may_be_empty = body == word, body.endswith("/"), body.endswith("?")
    body = body.removesuffix("/").removesuffix("?")
    reason = _objection(word, body, must_exist=must_exist, directory=directory, may_be_empty=may_be_empty)
    if reason:
        raise BadRule(f"done rule {rule!r}: {reason}", _EXAMPLE)
    parts = _split(body, rule)
    return Pattern(text=word, parts=parts, must_exist=must_exist, directory=directory, may_be_empty=may_be_empty)


def _objection(word: str, body: str, *, must_exist: bool, directory: bool, may_be_empty: bool) -> str | None:
    """Why a word is no pattern: what looks like a slip would name a file that can never be there."""
    if not body.strip("/."):
        return f"{word!r} names no file"
    if word in PRESETS:
        return f"the preset {word!r} stands alone"
    close = difflib.get_close_matches(word, PRESETS, n=1, cutoff=0.75)
    if close:
        return f"{word!r} is no preset; did you mean {close[0]}?"
    if directory and must_exist:
        return f"{word!r} names a directory, and only files show that the work is done"
    if may_be_empty and not must_exist:
        return f"{word!r} has '?' (may be empty) after '!' (must not be there)"
    odd = next((c for c in body if c in "*?$~\0\n"), None)
    return f"{odd!r} in {word!r} is not expanded; a pattern names one file exactly" if odd else None


def _split(body: str, rule: str) -> tuple[tuple[str | Field, ...], ...]:
    parts: list[list[str | Field]] = [[]]
    for token in _TOKENS.findall(body):
        if token in ("{", "}"):
            raise BadRule(f"done rule {rule!r}: a {token!r} without its other half in {body!r}", "write {{ or }} for a brace that is meant")
        if token[0] == "{" and token != "{{":
            parts[-1].append(_field(token, rule))
            continue
        first, *others = {"{{": "{", "}}": "}"}.get(token, token).split("/")
        parts[-1].append(first)
        parts.extend([other] for other in others)
    _check_dir(parts, body, rule)
    return tuple(tuple(part) for part in parts)


def _field(token: str, rule: str) -> Field:
    match = _FIELD.fullmatch(token)
    if match is None:
        raise BadRule(f"done rule {rule!r}: {token} is not a field", _FIELDS)
    source, old, new, start, stop = match.groups()
    if source == "dir" and start is not None:
        raise BadRule(f"done rule {rule!r}: {token} is a slice of a path", "use {parent} for the directory's name, as in {parent[:4]}")
    if source == "dir" and new in (".", ".."):
        raise BadRule(f"done rule {rule!r}: {token} replaces a part by {new!r}", "name a directory, or nothing to leave the part out")
    return Field(source=source, old=old, new=new or "", start=int(start) if start else None, stop=int(stop) if stop else None)


def _check_dir(parts: list[list[str | Field]], body: str, rule: str) -> None:
    for index, part in enumerate(parts):
        literal = "".join(piece for piece in part if isinstance(piece, str))
        holds_dir = any(isinstance(piece, Field) and piece.source == "dir" for piece in part)
        if holds_dir and (index > 0 or literal or len(parts) == 1):
            raise BadRule(f"done rule {rule!r}: {{dir}} in {body!r} is a whole path", "begin the pattern with it: {dir}/{stem}.tif")


def _names_the_jobfile(pattern: Pattern) -> bool:
    return any(isinstance(piece, Field) and piece.source in ("stem", "name") for part in pattern.parts for piece in part)


def _words_of(jobfile: Path) -> dict[str, str]:
    """What the fields mean for a jobfile, found once for all patterns: Path's own properties are slow, and directories are large."""
    parent = jobfile.parent
    return {"stem": jobfile.stem, "name": jobfile.name, "parent": parent.name, "dir": os.fspath(parent)}


def _expand(pattern: Pattern, words: dict[str, str]) -> str:
    path = "/".join([_expand_part(part, words) for part in pattern.parts])
    return path if path[:1] == "/" else f"{words['dir']}/{path}"


def _expand_part(part: tuple[str | Field, ...], words: dict[str, str]) -> str:
    text = "".join([piece if isinstance(piece, str) else _value(piece, words) for piece in part])
    # A file may be called `...sh`, whose stem is `..`: a name must never lead out of its directory.
    if text in _NO_NAMES and any(isinstance(piece, Field) for piece in part):
        reason = f"the done rule makes {text!r} of the name {words['name']!r}, and that is no file name"
        raise RuleDoesNotFit(reason, "rename it, or use {name}")
    return text


def _value(piece: Field, words: dict[str, str]) -> str:
    value = words[piece.source]
    if piece.source == "dir":
        return _directory(piece, value)
    if piece.old is not None:
        if not value.startswith(piece.old):
            raise RuleDoesNotFit(f"the done rule is for names that begin with {piece.old!r}, and this one is {value!r}", _OTHER_RULE)
        value = piece.new + value.removeprefix(piece.old)
    value = value[piece.start : piece.stop]
    if not value:
        raise RuleDoesNotFit(f"the done rule takes a part of {words['name']!r} that is empty", _OTHER_RULE)
    return value


def _directory(piece: Field, directory: str) -> str:
    if piece.old is None:
        return directory
    parts = directory.split("/")
    if piece.old not in parts:
        raise RuleDoesNotFit(f"the done rule replaces {piece.old!r} in {directory}, which has no such part", _OTHER_RULE)
    at = len(parts) - 1 - parts[::-1].index(piece.old)
    return "/".join(parts[:at] + ([piece.new] if piece.new else []) + parts[at + 1 :])


def _is_met(pattern: Pattern, path: str) -> bool:
    if pattern.must_exist:
        found = _look(path, follow=True)
        return found is not None and stat.S_ISREG(found.st_mode) and (pattern.may_be_empty or found.st_size > 0)
    found = _look(path, follow=pattern.directory)
    return found is None or (pattern.directory and not stat.S_ISDIR(found.st_mode))


def _look(path: str, *, follow: bool) -> os.stat_result | None:
    try:
        return os.stat(path, follow_symlinks=follow)
    except ValueError:  # A name that no filesystem can hold.
        return None
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise CannotLook(Path(path), error) from error
