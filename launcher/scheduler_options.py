"""Reads `#SBATCH` lines, and says what is wrong with them before anything is submitted."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from launcher.walltime import parse_walltime

#: sbatch's short options in full (`man sbatch`, Slurm 22.05 to 25.05).
_SHORT = {
    "A": "--account", "a": "--array", "B": "--extra-node-info", "b": "--begin", "C": "--constraint", "c": "--cpus-per-task",
    "D": "--chdir", "d": "--dependency", "e": "--error", "F": "--nodefile", "G": "--gpus", "H": "--hold", "h": "--help", "i": "--input",
    "J": "--job-name", "k": "--no-kill", "L": "--licenses", "M": "--clusters", "m": "--distribution", "N": "--nodes", "n": "--ntasks",
    "O": "--overcommit", "o": "--output", "p": "--partition", "Q": "--quiet", "q": "--qos", "S": "--core-spec", "s": "--oversubscribe",
    "t": "--time", "V": "--version", "v": "--verbose", "W": "--wait", "w": "--nodelist", "x": "--exclude",
}  # fmt: skip

#: What a key of the site says, too: sbatch would silently take one of the two. The first three must stand in the key, for costs and limits
#: are computed from it.
_KEYS = {
    "--partition": "partition",
    "--nodes": "nodes_per_block",
    "--time": "walltime",
    "--account": "account",
    "--qos": "qos",
    "--constraint": "constraint",
}
_KEYS_ONLY = ("--partition", "--nodes", "--time")

#: What would undo an option of ours, or hide the block from us, and what comes of it.
_UNDOES = {
    "--array": "a block is one job",
    "--begin": "a block that waits on purpose is taken for one that waits in vain",
    "--clusters": "blocks are asked for on one cluster only",
    "--error": "a block's output goes to its own folder",
    "--hold": "a block that waits on purpose is taken for one that waits in vain",
    "--input": "a block reads nothing",
    "--job-name": "a block is found again by its name",
    "--kill-on-bad-exit": "one node's end must not end the others",
    "--kill-on-invalid-dep": "Slurm would end what we wait for",
    "--nodefile": "no node is asked for by name",
    "--output": "a block's output goes to its own folder",
    "--oversubscribe": "a node is wholly the block's own",
    "--parsable": "it changes the answer in which the job's number stands",
    "--quiet": "it takes away the answer in which the job's number stands",
    "--requeue": "Slurm would start a block twice",
    "--signal": "the warning before the end is the site's warn_s",
    "--test-only": "nothing would be submitted",
    "--time-min": "Slurm would shorten the walltime, and what is started is chosen by it",
    "--wait": "the submission would last as long as the block",
    "--wrap": "a block has a script",
}
#: What undoes an option of ours only if it has a value.
_UNDOES_WITH_VALUE = {
    "--exclusive": "a node is wholly the block's own",
    "--no-kill": "the block would end with the first node that it loses",
}


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of one `#SBATCH` line."""

    #: Its long name, as far as it is spelled.
    name: str
    #: Its value; empty: none.
    value: str
    #: As it stands there.
    text: str
    #: The line, counted from 0.
    line: int


@dataclass(frozen=True, kw_only=True)
class BadOption:
    """What is wrong with a line."""

    line: int
    reason: str
    remedy: str


def complain_of_options(text: str, values: Mapping[str, Any]) -> BadOption | None:
    """What is wrong with these lines in a site with these values; None: nothing."""
    try:
        for option in read_options(text):
            if (found := _complaint(option, values)) is not None:
                reason, remedy = found
                return BadOption(line=option.line, reason=f"scheduler_options has {option.text!r}: {reason}", remedy=remedy)
    except _Unreadable as error:
        return error.bad
    return None


def read_options(text: str) -> Iterator[Option]:
    """The options of these lines; empty lines and comments are passed over."""
    for number, line in enumerate(text.splitlines()):
        stripped = line.strip()
        if not stripped or (stripped.startswith("#") and not stripped.lower().startswith(("#sbatch", "#pbs"))):
            continue
        yield from _options_of(_words(line, number), number)


class _Unreadable(Exception):
    def __init__(self, line: int, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.bad = BadOption(line=line, reason=f"scheduler_options has {reason}", remedy=remedy)


def _words(line: str, number: int) -> list[str]:
    if not re.match(r"#SBATCH\s", line):
        remedy = "Begin each line with #SBATCH; commands belong to worker_init"
        raise _Unreadable(number, f"{line!r}, which is not a line of #SBATCH", remedy)
    try:
        words = shlex.split(line.removeprefix("#SBATCH"), comments=True)
    except ValueError as error:
        raise _Unreadable(number, f"{line!r}: {error}", "Close the quotes") from error
    if words and not words[0].startswith("-"):
        raise _Unreadable(number, f"{line!r}, where no option follows", "Write it as #SBATCH --option=value")
    return words


def _options_of(words: list[str], line: int) -> Iterator[Option]:
    """`--long=value`, `--long value`, `-s value`, `-svalue`; a word that is no option is the value of the one before it."""
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        name, _, value = word.partition("=")
        if not word.startswith("--"):
            name, value = _SHORT.get(word[1:2], word[:2]), word[2:]
        text = word
        if not value and waiting and not waiting[0].startswith("-"):
            value = waiting.pop(0)
            text = f"{word} {value}"
        yield Option(name=name, value=value, text=text, line=line)


def _complaint(option: Option, values: Mapping[str, Any]) -> tuple[str, str] | None:
    banned = {name: "this site bans it (banned_options)" for name in values["banned_options"]}
    refused = {**_UNDOES, **(_UNDOES_WITH_VALUE if option.value else {}), **banned}
    if option.name in refused:
        return refused[option.name], "Remove it"
    if option.name in _KEYS:
        return _beside_the_key(option, _KEYS[option.name], values)
    # sbatch takes any beginning of a long option that fits only one.
    meant = [name for name in (*refused, *_KEYS) if name.startswith(option.name)]
    return (f"it may mean {' or '.join(meant)}", "Spell the option in full") if meant else None


def _beside_the_key(option: Option, key: str, values: Mapping[str, Any]) -> tuple[str, str] | None:
    ours = values[key]
    if _same(key, ours, option.value):
        return None
    if ours and not (key == "nodes_per_block" and ours == 1):
        return f"the site says {key}={ours!r}", "Remove one of the two"
    if option.name not in _KEYS_ONLY:
        return None
    value = option.value if key == "nodes_per_block" else f'"{option.value}"'
    return "limits and costs are computed from the site's keys", f"Write {key} = {value} instead"


def _same(key: str, ours: Any, theirs: str) -> bool:
    if key == "walltime" and ours:
        try:
            return parse_walltime(ours) == parse_walltime(theirs)
        except ValueError:
            return False
    return str(ours) == theirs
