"""A directory of jobfiles, read once before it is enqueued: which can run, which cannot and why, which are done already."""

import fnmatch
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeVar

from tasks.done_rule import DoneRule
from tasks.errors import CannotLook, RuleDoesNotFit
from tasks.jobfile import BadJobfile, Jobfile, read_jobfile, shell_word

DEFAULT_PATTERN = "qsub*.sh"
#: A shared filesystem answers an open in about a millisecond, so several jobfiles are looked at at a time. On a local disk, where
#: Python itself is what takes the time, threads would double it (measured: 1.7 s and 3.3 s for 20,000 jobfiles).
_THREADS = 8
#: Jobfiles per piece of work: a future for each would cost as much as the reading.
_PIECE = 200
#: What we write beside a jobfile: its output, its errors, and those of earlier attempts.
_LOG = re.compile(r"(.+)\.(?:out|err)(?:\.[0-9]+)?", re.DOTALL)
_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


class BadDirectory(Exception):
    """A directory that cannot be enqueued: missing, unreadable, or without jobfiles. The text says what to do; exit code 2."""

    exit_code = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """A file that has a jobfile's name and cannot be run."""

    file: Path
    #: None if the whole file is meant.
    line: int | None
    reason: str
    remedy: str

    def __str__(self) -> str:
        place = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.reason}; {self.remedy}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """What a directory holds, both in the order of names."""

    #: The real path, which is half of a jobfile's identity (LEASES rule 23).
    directory: Path
    good: tuple[Jobfile, ...]
    rejected: tuple[Rejected, ...]


def scan(directory: Path, pattern: str = DEFAULT_PATTERN) -> Scan:
    """Read every jobfile of a directory, not of those below; raises BadDirectory."""
    real = _real(directory)
    names, folders = _listed(real)
    chosen = _matching(names + folders, pattern)
    if not chosen:
        raise BadDirectory(_nothing(real, pattern, names, folders))
    found = _look_at_all(_read, [real / name for name in chosen])
    good = tuple(item for item in found if isinstance(item, Jobfile))
    return Scan(directory=real, good=good, rejected=tuple(item for item in found if isinstance(item, Rejected)))


def rule_of(jobfile: Jobfile, campaign_rule: DoneRule) -> DoneRule:
    """The done rule that holds for a jobfile: its header's, else the campaign's."""
    return campaign_rule if jobfile.options.done is None else DoneRule.parse(jobfile.options.done)


def already_done(jobfile: Jobfile, campaign_rule: DoneRule) -> bool:
    """Whether its outputs are there already; never by the rule `exit-code`. Raises CannotLook."""
    return rule_of(jobfile, campaign_rule).is_done(jobfile.path) is True


def find_done(jobfiles: Sequence[Jobfile], campaign_rule: DoneRule) -> tuple[Jobfile, ...]:
    """Those whose outputs are there already, several files asked for at a time. One that cannot be looked at counts as not done: its
    worker looks again before it starts anything."""
    answers = _look_at_all(partial(_seems_done, campaign_rule=campaign_rule), jobfiles)
    return tuple(jobfile for jobfile, done in zip(jobfiles, answers, strict=True) if done)


def misfits(jobfiles: Iterable[Jobfile], campaign_rule: DoneRule) -> tuple[Rejected, ...]:
    """Jobfiles for which their done rule names no outputs, or the same as for an earlier one (whose end would make this look done)."""
    rejected, owners = [], dict[tuple[Path, ...], Path]()
    for jobfile in jobfiles:
        try:
            files = rule_of(jobfile, campaign_rule).expected(jobfile.path).files
        except RuleDoesNotFit as error:
            rejected.append(Rejected(file=jobfile.path, line=None, reason=error.reason, remedy=error.remedy))
            continue
        if files and owners.setdefault(files, jobfile.path) != jobfile.path:
            reason = f"its done rule names the same outputs as for {owners[files].name}"
            rejected.append(Rejected(file=jobfile.path, line=None, reason=reason, remedy="choose another rule with --done, or rename it"))
    return tuple(rejected)


def _seems_done(jobfile: Jobfile, campaign_rule: DoneRule) -> bool:
    try:
        return already_done(jobfile, campaign_rule)
    except CannotLook:
        return False


def _real(directory: Path) -> Path:
    try:
        return directory.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise _refusal(directory, error) from error


def _refusal(directory: Path, error: Exception) -> BadDirectory:
    if isinstance(error, FileNotFoundError):
        parent = next(folder for folder in directory.absolute().parents if folder.exists())
        return BadDirectory(f"{directory} does not exist; {parent} does: see what it holds with: ls {shell_word(parent)}")
    if isinstance(error, NotADirectoryError):
        return BadDirectory(f"{directory} is no directory; give the one that holds the jobfiles, and choose among them with --pattern")
    why = error.strerror if isinstance(error, OSError) else str(error)
    return BadDirectory(f"{directory} cannot be read: {why}; try: ls -ld {shell_word(directory)}")


def _listed(directory: Path) -> tuple[list[str], list[str]]:
    """Names of files (and whatever else is there) and of directories."""
    names: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                (folders if _is_folder(entry) else names).append(entry.name)
    except OSError as error:
        raise _refusal(directory, error) from error
    return names, folders


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link in a circle, say: if it has a jobfile's name, its reading says what is wrong.
        return False


def _matching(names: Iterable[str], pattern: str) -> list[str]:
    """Names as a shell's pattern finds them, sorted; without our own logs, which `qsub*` would find as well."""
    if "/" in pattern:
        raise BadDirectory(f"--pattern {pattern!r} holds a '/': it is for names in the directory itself; give the directory below as DIR")
    fits = re.compile(fnmatch.translate(pattern)).match
    found = {name for name in names if fits(name) and (name[0] != "." or pattern[:1] == ".")}
    return sorted(name for name in found if not _is_log(name, found))


def _is_log(name: str, found: set[str]) -> bool:
    match = _LOG.fullmatch(name)
    return match is not None and match[1] in found


def _nothing(directory: Path, pattern: str, names: list[str], folders: list[str]) -> str:
    text = f"no name in {directory} matches {pattern!r}"
    scripts = len(_matching(names, "*.sh"))
    if scripts:
        return f"{text}; {scripts} *.sh here, use --pattern '*.sh'"
    if folders:
        below = directory / min(folders)
        return f"{text}; 0 *.sh here, use --pattern, or give one of the {len(folders)} directories below, such as {shell_word(below)}"
    return f"{text}; 0 *.sh here, use --pattern; {len(names)} files are here in all"


def _read(path: Path) -> Jobfile | Rejected:
    try:
        return read_jobfile(path)
    except BadJobfile as error:
        return Rejected(file=path, line=error.line, reason=error.reason, remedy=error.remedy)


def _look_at_all(work: Callable[[_Item], _Answer], items: Sequence[_Item]) -> list[_Answer]:
    """The answers in the items' order; the first piece shows whether the filesystem is worth waiting for in threads."""
    wall_s, cpu_s = time.monotonic(), time.thread_time()
    first = [work(item) for item in items[:_PIECE]]
    waits = time.monotonic() - wall_s > 2 * (time.thread_time() - cpu_s)
    if not waits:
        return first + [work(item) for item in items[_PIECE:]]
    pieces = [items[start : start + _PIECE] for start in range(_PIECE, len(items), _PIECE)]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="look") as pool:
        return first + list(chain.from_iterable(pool.map(lambda piece: [work(item) for item in piece], pieces)))
