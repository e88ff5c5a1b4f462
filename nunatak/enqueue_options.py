"""The options that `enqueue` and `run` share, and what they ask for."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from nunatak.campaign import Request, options_given
from nunatak.directory import DEFAULT_PATTERN

_F = TypeVar("_F", bound=Callable[..., Any])
#: Those that become the campaign's options; the names are the user's.
_OF_CAMPAIGN = (
    "per_node", "time", "max", "cpus", "mem", "done", "retries", "max_fails", "priority", "logs", "checkpoint_signal", "grace",
)  # fmt: skip

_OPTIONS = (
    click.option("--pattern", default=DEFAULT_PATTERN, show_default=True, metavar="GLOB", help="Which files of DIR are jobfiles."),
    click.option("--campaign", default="", metavar="NAME", help="Default: the last two parts of DIR's path without `jobfiles`."),
    click.option("--per-node", metavar="N", help="Jobfiles to a node. Default: as many as there are slots."),
    click.option("--time", metavar="11h", help="How long a jobfile takes, if known."),
    click.option("--max", metavar="48h", help="How long a jobfile may take before it is ended as failed."),
    click.option("--cpus", metavar="N", help="Processors that a jobfile needs."),
    click.option("--mem", metavar="90G", help="Memory that a jobfile needs."),
    click.option(
        "--done",
        metavar="RULE",
        help="Which outputs show that a jobfile is done: setsm-scene, fin-file, exit-code, or patterns such as '{stem}.tif'. "
        "Default: setsm-scene for qsub_*.sh in .../jobfiles/RESOLUTION, else exit-code.",
    ),
    click.option("--retries", metavar="N", help="How often a failed jobfile is tried again. Default: 3."),
    click.option("--max-fails", metavar="N", help="Pause the campaign when this many have failed."),
    click.option("--priority", metavar="0-9", help="9 is started first. Default: 5."),
    click.option("--logs", metavar="DIR", help="Where outputs go. Default: beside each jobfile."),
    click.option("--checkpoint-signal", metavar="USR2", help="Warns a jobfile that handles it of its block's end. Default: none."),
    click.option("--grace", metavar="5m", help="How long a jobfile has between that warning and its end. Default: 60 s."),
    click.option("--again", is_flag=True, help="Start again what has ended, done or not."),
    click.option("--force", is_flag=True, help="Take over a DIR that the broker of another home has marked as its own."),
)


def enqueue_options(function: _F) -> _F:
    """The options that choose and describe jobfiles."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def request_of(
    directory: Path, *, dry_run: bool = False, pattern: str, campaign: str, again: bool, force: bool, **texts: str | None
) -> Request:
    """What was asked for; raises WrongUse."""
    return Request(
        directory=Path(os.path.realpath(directory.expanduser())),
        pattern=pattern,
        campaign=campaign,
        options=options_given({name: texts[name] for name in _OF_CAMPAIGN}),
        again=again,
        dry_run=dry_run,
        force=force,
        umask=present_umask(),
    )


def present_umask() -> int:
    """The user's umask, which the jobfiles are to have; the system tells it only to whoever sets it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
