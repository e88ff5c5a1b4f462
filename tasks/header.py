"""What a jobfile says about itself in comment lines: `#NUNATAK` options, and hints from `#SBATCH` and `#PBS`.

As with sbatch, only lines before the first command count. An option that cannot be understood is an error, because a silent default
could cost node-hours; a hint that cannot be understood is a warning, because it was written for somebody else.
"""

import difflib
import math
import os
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tasks.done_rule import DoneRule
from tasks.errors import BadInput, BadQuantity
from tasks.quantity import Dialect, format_duration, parse_count, parse_duration, parse_memory
from tasks.signals import parse_signal

_MAX_CPUS = 65536


@dataclass(frozen=True, kw_only=True, slots=True)
class JobfileOptions:
    """The `#NUNATAK` options; None: not given, the campaign's holds."""

    #: How long it is expected to run.
    time_s: float | None = None
    #: How long it may run at most.
    max_s: float | None = None
    cpus: int | None = None
    mem_mb: int | None = None
    #: How many such jobfiles share a node.
    per_node: int | None = None
    #: A done rule's text (see tasks/done_rule.py), already checked.
    done: str | None = None
    #: 0 to 9, 9 first.
    priority: int | None = None
    #: The signal that warns it before its node's end, as `tasks.signals.parse_signal` writes it.
    checkpoint_signal: str | None = None
    #: How long it then has.
    grace_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hints:
    """What the jobfile asked of another scheduler; used only where nothing else is said."""

    #: The walltime asked for: an upper limit, mostly a generous one.
    time_s: float | None = None
    cpus: int | None = None
    mem_mb: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """Everything that a jobfile's comment lines say."""

    options: JobfileOptions
    hints: Hints
    warnings: tuple[str, ...]


class BadHeader(Exception):
    """A `#NUNATAK` line that cannot be understood; `line` counts from 1."""

    def __init__(self, line: int, reason: str, remedy: str) -> None:
        super().__init__(line, reason, remedy)
        self.line = line
        self.reason = reason
        self.remedy = remedy


def _done(text: str) -> str:
    return DoneRule.parse(text).text


#: Each option: its field, and how its value is read.
_OPTIONS: dict[str, tuple[str, Callable[[str], object]]] = {
    "time": ("time_s", parse_duration),
    "max": ("max_s", parse_duration),
    "cpus": ("cpus", lambda text: parse_count(text, 1, _MAX_CPUS)),
    "mem": ("mem_mb", parse_memory),
    "per_node": ("per_node", lambda text: parse_count(text, 1, _MAX_CPUS)),
    "done": ("done", _done),
    "priority": ("priority", lambda text: parse_count(text, 0, 9)),
    "checkpoint_signal": ("checkpoint_signal", parse_signal),
    "grace": ("grace_s", parse_duration),
}
#: What people write instead, after other schedulers' names.
_ALSO = {
    "walltime": "time", "timeout": "max", "limit": "max", "memory": "mem", "ncpus": "cpus", "cores": "cpus", "threads": "cpus",
    "signal": "checkpoint_signal",
}  # fmt: skip
_LINE = re.compile(rb"^[ \t]*#[# \t]*(?:nunatak|(?:sbatch|pbs)\b).*$", re.IGNORECASE | re.MULTILINE)
_HEAD = re.compile(rb"(?:[ \t]*(?:#[^\n]*)?(?:\n|\Z))*")
_SBATCH = {"-t": "time", "--time": "time", "-c": "cpus", "--cpus-per-task": "cpus", "--mem": "mem", "--mem-per-cpu": "mem_per_cpu"}
_PBS = re.compile(r"(?<![a-z_])(walltime|ncpus|ppn|mem)=([^,\s:]+(?::[0-9]+)*)", re.IGNORECASE)
_PBS_FIELD = {"walltime": "time", "ncpus": "cpus", "ppn": "cpus", "mem": "mem"}
_NOTHING = Header(options=JobfileOptions(), hints=Hints(), warnings=())


def parse_header(text: bytes) -> Header:
    """The header of a jobfile's text; raises BadHeader."""
    if not _LINE.search(text):  # Nearly all jobfiles: nothing more is read.
        return _NOTHING
    head = _HEAD.match(text)
    end = head.end() if head else 0
    return _parse_lines([_Line.at(text, match, end) for match in _LINE.finditer(text)])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    number: int
    text: str
    in_head: bool

    @classmethod
    def at(cls, text: bytes, match: re.Match[bytes], end: int) -> "_Line":
        return cls(number=text.count(b"\n", 0, match.start()) + 1, text=os.fsdecode(match[0].rstrip()), in_head=match.start() < end)

    def after(self, word: str) -> str | None:
        """The rest of a line that begins with exactly this word, else None."""
        rest = self.text.removeprefix(word)
        return rest if rest != self.text and (not rest or rest[0].isspace()) else None


def _parse_lines(lines: list[_Line]) -> Header:
    given: dict[str, tuple[int, object]] = {}
    asked: dict[str, float] = {}
    warnings: list[str] = []
    for line in lines:
        ours, sbatch, pbs = line.after("#NUNATAK"), line.after("#SBATCH"), line.after("#PBS")
        if ours is not None and line.in_head:
            _read_options(line.number, ours, given)
        elif "=" in (ours or "") or _looks_like_ours(line.text):
            warnings.append(_ignored(line, moved=ours is not None))
        elif line.in_head and (sbatch or pbs):
            asks = _sbatch_asks(sbatch) if sbatch else _pbs_asks(pbs or "")
            warnings.extend(_read_hints(line, asks, Dialect.SBATCH if sbatch else Dialect.PBS, asked))
    _check_max(given)
    options = replace(_NOTHING.options, **{_OPTIONS[key][0]: value for key, (_, value) in given.items()})  # type: ignore[arg-type]
    return Header(options=options, hints=_hints(asked), warnings=tuple(warnings))


def _looks_like_ours(text: str) -> bool:
    """Also with another spelling, if it sets something: prose about nunatak is no slip."""
    bare = text.lstrip("# \t")
    return bare[:7].lower() == "nunatak" and any(f"{key}=" in bare for key in _OPTIONS)


def _ignored(line: _Line, *, moved: bool) -> str:
    why = "it stands after the first command; move it up" if moved else "write it as '#NUNATAK key=value' at the line's beginning"
    return f"line {line.number}: {line.text.strip()!r} is ignored: {why}"


def _read_options(number: int, text: str, given: dict[str, tuple[int, object]]) -> None:
    for word in _words(number, text):
        key, equals, value = word.partition("=")
        if not equals or key not in _OPTIONS:
            raise BadHeader(number, _unknown(key, word, equals), f"the options are {', '.join(_OPTIONS)}, each as key=value")
        if key in given:
            raise BadHeader(number, f"{key} is given twice, first in line {given[key][0]}", "remove one of them")
        try:
            given[key] = (number, _OPTIONS[key][1](value))
        except BadInput as error:
            raise BadHeader(number, f"{key}: {error.reason}", error.remedy) from error


def _words(number: int, text: str) -> Iterator[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        remedy = "quote a value that holds blanks: done='{stem}.a {stem}.b'"
        raise BadHeader(number, f"the quotes in {text.strip()!r} do not match", remedy) from error
    for word in words:
        if word.startswith("#"):  # A remark ends the line; '#' within a word is part of a name.
            return
        yield word


def _unknown(key: str, word: str, equals: str) -> str:
    close = _ALSO.get(key.lower()) or next(iter(difflib.get_close_matches(key.lower().replace("-", "_"), [*_OPTIONS, *_ALSO], n=1)), "")
    guess = _ALSO.get(close, close)
    question = f"; did you mean {guess}{'' if equals else '=…'}?" if guess else ""
    return (f"unknown option {key!r}" if equals else f"{word!r} is no option") + question


def _check_max(given: dict[str, tuple[int, object]]) -> None:
    if "time" not in given or "max" not in given:
        return
    (_, time_s), (number, max_s) = given["time"], given["max"]
    if isinstance(time_s, float) and isinstance(max_s, float) and max_s < time_s:
        reason = f"max={format_duration(max_s)} is less than time={format_duration(time_s)}"
        raise BadHeader(number, reason, "time is how long it is expected to run, max how long it may")


def _sbatch_asks(text: str) -> Iterator[tuple[str, str]]:
    """Options as pairs, from `--time=X`, `--time X`, `-t X` and `-tX`; those that are no hint are left out."""
    words = iter(text.split(" #")[0].split())
    for word in words:
        option, equals, value = word.partition("=") if word.startswith("--") else (word[:2], word[2:], word[2:])
        if option in _SBATCH:
            yield _SBATCH[option], (value if equals else next(words, "")).strip("'\"")


def _pbs_asks(text: str) -> Iterator[tuple[str, str]]:
    for match in _PBS.finditer(text):
        yield _PBS_FIELD[match[1].lower()], match[2]


def _read_hints(line: _Line, asks: Iterator[tuple[str, str]], dialect: Dialect, asked: dict[str, float]) -> Iterator[str]:
    for key, value in asks:
        try:
            asked[key] = _read_hint(key, value, dialect)
        except BadQuantity as error:
            yield f"line {line.number}: {line.text.strip()!r} gives no hint: {error.reason}"


def _read_hint(key: str, value: str, dialect: Dialect) -> float:
    if key == "time":
        return parse_duration(value, dialect)
    return parse_count(value, 1, _MAX_CPUS) if key == "cpus" else parse_memory(value, dialect)


def _hints(asked: dict[str, float]) -> Hints:
    """Slurm's 0 and UNLIMITED say nothing; `--mem-per-cpu` counts per processor asked for."""
    time_s, cpus = asked.get("time", math.inf), int(asked.get("cpus", 0))
    memory = int(asked.get("mem", 0) or asked.get("mem_per_cpu", 0) * max(1, cpus))
    return Hints(time_s=None if time_s == math.inf else time_s, cpus=cpus or None, mem_mb=memory or None)
