"""What a site may say: which values a key takes, and which keys contradict each other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from launcher.scheduler_options import complain_of_options
from launcher.walltime import parse_walltime

#: The providers that exist; launcher/providers.py knows what each is.
PROVIDERS = ("local", "slurm", "parsl")
#: sbatch's options that ask for nodes by name or exclude some.
NAMED_NODES = ("--nodelist", "--exclude")


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """One thing that is wrong with a site."""

    #: The key whose line is to be corrected.
    key: str
    #: What is wrong, with the value.
    reason: str
    #: What to do.
    remedy: str
    #: The key that it contradicts, whose line is shown where the first is not given; empty: none.
    against: str = ""
    #: Which line of the key's text, counted from 0; None: it is about the whole.
    line: int | None = None


def _whole(least: int) -> Callable[[object], str]:
    def check(value: object) -> str:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return "" if whole and value >= least else f"use a whole number, {least} or more"  # type: ignore[operator]

    return check


def _number(*, zero: bool) -> Callable[[object], str]:
    def check(value: object) -> str:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = number and (value > 0 or (zero and value == 0))  # type: ignore[operator]
        return "" if fits else f"use a number, {'0 or more' if zero else 'more than 0'}"

    return check


def _or_none(check: Callable[[object], str]) -> Callable[[object], str]:
    return lambda value: "" if value is None else check(value)


def _text(value: object) -> str:
    return "" if isinstance(value, str) else "use a text in quotes"


def _texts(value: object) -> str:
    fits = isinstance(value, list | tuple) and all(isinstance(one, str) and one.startswith("--") for one in value)
    return "" if fits else 'use a list of options, ["--nodelist", "--exclude"]'


def _word(value: object) -> str:
    """It becomes a part of one `#SBATCH` line."""
    fits = isinstance(value, str) and not any(char.isspace() for char in value)
    return "" if fits else _text(value) or "use one word, without blanks"


def _provider(value: object) -> str:
    return "" if value in PROVIDERS else f"use {' or '.join(PROVIDERS)}"


def _walltime(value: object) -> str:
    if not isinstance(value, str):
        return _text(value)
    try:
        if value:
            parse_walltime(value)
    except ValueError as error:
        return str(error).partition(": ")[2]
    return ""


#: Every key of a site file, and what is wrong with a value of it ("": nothing).
CHECKS: Mapping[str, Callable[[object], str]] = {
    "provider": _provider,
    "max_workers": _or_none(_whole(1)),
    "partition": _word,
    "account": _word,
    "qos": _word,
    "constraint": _word,
    "scheduler_options": _text,
    "worker_init": _text,
    "node_init": _text,
    "walltime": _walltime,
    "nodes_per_block": _whole(1),
    "cores_per_node": _or_none(_whole(1)),
    "max_running": _or_none(_whole(1)),
    "max_submitted": _or_none(_whole(1)),
    "min_nodes": _whole(1),
    "max_nodes": _or_none(_whole(1)),
    "max_walltime": _walltime,
    "submissions_per_hour": _whole(1),
    "poll_every_s": _number(zero=False),
    "least_charged_min": _number(zero=True),
    "su_per_node_hour": _number(zero=True),
    "banned_options": _texts,
    "warn_s": _whole(0),
    "cmd_timeout_s": _number(zero=False),
    "block_template": _text,
    "node_template": _text,
    "parsl_config": _text,
    "idle_s": _or_none(_number(zero=False)),
    "init_blocks": _whole(0),
    "min_blocks": _whole(0),
    "max_blocks": _or_none(_whole(1)),
}


#: What a key that is not given means to the checks of several keys together: as in Site.
_UNSAID: Mapping[str, Any] = {
    **dict.fromkeys(CHECKS, ""),
    **dict.fromkeys(("max_nodes", "max_blocks")),
    **dict.fromkeys(("nodes_per_block", "min_nodes"), 1),
    **dict.fromkeys(("init_blocks", "min_blocks"), 0),
    "provider": "local",
    "banned_options": NAMED_NODES,
}


def first_complaint(given: Mapping[str, Any]) -> Complaint | None:
    """What is wrong with the values of a site's keys; None: nothing. One value at a time first, then what they say together."""
    for key, value in given.items():
        if reason := CHECKS[key](value):
            return Complaint(key=key, reason=f"{key}={value!r}: {reason}", remedy=f"Correct the value of {key}")
    values = {**_UNSAID, **given}
    for check in (_of_provider, _of_limits, _of_blocks, _of_shell_lines, _of_options):
        if (complaint := check(values)) is not None:
            return complaint
    return None


def _of_provider(values: Mapping[str, Any]) -> Complaint | None:
    provider, nodes = values["provider"], values["nodes_per_block"]
    if provider == "local" and nodes != 1:
        reason = f"nodes_per_block={nodes}: a local block has one node, this one"
        return Complaint(key="nodes_per_block", reason=reason, remedy='Remove the line, or use provider = "slurm"')
    for key in _SLURMS_ONLY if provider == "local" else ():
        if values[key]:
            reason = f"{key}={values[key]!r}: a local block waits in no queue"
            return Complaint(key=key, reason=reason, remedy='Remove the line, or use provider = "slurm"')
    if provider == "parsl" and not values["parsl_config"]:
        reason = "provider='parsl': which provider that is stands in a Parsl config"
        return Complaint(key="provider", reason=reason, remedy='Add parsl_config = "FILE.py", or use provider = "slurm"')
    return None


#: What has no meaning without a queue.
_SLURMS_ONLY = ("partition", "account", "qos", "constraint", "scheduler_options")


def _of_limits(values: Mapping[str, Any]) -> Complaint | None:
    nodes, least, most = values["nodes_per_block"], values["min_nodes"], values["max_nodes"]
    walltime, longest = values["walltime"], values["max_walltime"]
    if most is not None and nodes > most:
        return _too("nodes_per_block", nodes, "max_nodes", f"the limit of this site is max_nodes={most}", f"Use {most} or less")
    if nodes < least:
        return _too("nodes_per_block", nodes, "min_nodes", f"the least that this site allows is min_nodes={least}", f"Use {least} or more")
    if walltime and longest and parse_walltime(walltime) > parse_walltime(longest):
        return _too("walltime", walltime, "max_walltime", f"the limit of this site is max_walltime={longest!r}", f"Use {longest} or less")
    return None


def _too(key: str, value: object, against: str, limit: str, remedy: str) -> Complaint:
    remedy = f"{remedy}; if the site's limit has changed, correct that line"
    return Complaint(key=key, against=against, reason=f"{key}={value!r}: {limit}", remedy=remedy)


def _of_blocks(values: Mapping[str, Any]) -> Complaint | None:
    most = values["max_blocks"]
    for key in ("init_blocks", "min_blocks"):
        if most is not None and values[key] > most:
            return Complaint(key=key, reason=f"{key}={values[key]}: more than max_blocks={most}", remedy=f"Use {most} or less")
    return None


def _of_shell_lines(values: Mapping[str, Any]) -> Complaint | None:
    """Slurm reads no `#SBATCH` below the first command, and says nothing of it."""
    for key in ("worker_init", "node_init"):
        for number, line in enumerate(values[key].splitlines()):
            if line.startswith("#SBATCH"):
                reason = f"{key} has the line {line!r}: Slurm would not read it there"
                return Complaint(key=key, line=number, reason=reason, remedy="Move it to scheduler_options")
    return None


def _of_options(values: Mapping[str, Any]) -> Complaint | None:
    found = complain_of_options(values["scheduler_options"], values)
    if found is None:
        return None
    return Complaint(key="scheduler_options", line=found.line, reason=found.reason, remedy=found.remedy)
