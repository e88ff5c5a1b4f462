"""A campaign: its name, its options, and what they make of each of its jobfiles in the queue. Pure functions of values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from broker.enqueue import Entry
from broker.records import Campaign
from nunatak.campaign_options import DEFAULT_PRIORITY, BadOption, parse_options
from nunatak.errors import WrongUse
from nunatak.shown import OPTION_NAMES
from tasks.jobfile import Jobfile

DEFAULT_RETRIES = 3
#: What a directory of jobfiles is called by convention: it says nothing about which jobfiles they are.
_SAYS_NOTHING = "jobfiles"
#: Every command takes a name as an argument, and some put it into a file's name.
_NAME = re.compile(r"[^\s/=-][^/=\x00-\x1f\x7f]{0,199}")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asks for with `enqueue` or `run`."""

    #: Absolute, without links.
    directory: Path
    #: Which files are jobfiles.
    pattern: str = "qsub*.sh"
    #: The campaign's name; empty: from the directory.
    campaign: str = ""
    #: The campaign's options that were given, as the server keeps them; an empty value is the default again.
    options: Mapping[str, str] = field(default_factory=dict)
    #: Start again what has ended, done or not.
    again: bool = False
    #: Change nothing.
    dry_run: bool = False
    #: Take over a directory that another home has marked.
    force: bool = False
    #: The umask that the jobfiles are to have.
    umask: int = 0o022

    @property
    def name(self) -> str:
        return self.campaign or default_name(self.directory)


def default_name(directory: Path) -> str:
    """The last two parts of the path without `jobfiles`: `…/region_03_conus/jobfiles/2m` is `region_03_conus-2m`."""
    parts = [part for part in directory.parts[1:] if part != _SAYS_NOTHING][-2:]
    return re.sub(r"[=\x00-\x20\x7f]+", "_", "-".join(parts)).lstrip("-")[:200] or "campaign"


def check_name(name: str) -> str:
    """The name, if it can be one; raises WrongUse."""
    if not _NAME.fullmatch(name):
        raise WrongUse(f"--campaign {name!r}: use up to 200 characters without / and =, not beginning with a blank or -")
    return name


def options_given(texts: Mapping[str, str | None]) -> dict[str, str]:
    """Options by the names that a user types (those that are None left out), as the server keeps them; raises WrongUse."""
    given: dict[str, str] = {}
    for name, text in texts.items():
        try:
            given |= {} if text is None else parse_options([f"{name}={text}"])
        except BadOption as error:
            raise WrongUse(f"--{name.replace('_', '-')} {str(error).removeprefix(f'{name}: ')}") from error
    return given


def effective(request: Request, stored: Campaign | None, default_rule: str) -> dict[str, str]:
    """All options that the campaign has after this request: those given, else those it has, else the defaults."""
    defaults = {"retries": str(DEFAULT_RETRIES), "priority": str(DEFAULT_PRIORITY), "done": default_rule}
    given = {key: value or defaults.get(key, "") for key, value in request.options.items()}
    return {key: value for key, value in (defaults | options_of(stored) | given).items() if value}


def options_of(stored: Campaign | None) -> dict[str, str]:
    """The options that a campaign has, without what else is kept with it; none if it does not exist yet."""
    return {key: stored.options[key] for key in OPTION_NAMES if stored.options.get(key)} if stored else {}


def to_store(request: Request, stored: Campaign | None, options: Mapping[str, str]) -> dict[str, str]:
    """What is to be written so that the campaign has these options: what differs, '' for what it is to have no more, and the umask."""
    has = options_of(stored)
    differs = {key: options.get(key, "") for key in OPTION_NAMES if options.get(key, "") != has.get(key, "")}
    return differs | {"umask": f"{request.umask:03o}"}


def changes(stored: Campaign | None, options: Mapping[str, str]) -> list[str]:
    """What becomes different for a campaign that exists, in the user's words: `retries 3 -> 5`."""
    has = options_of(stored)
    if stored is None:
        return []
    return [
        f"{name} {has.get(key, 'unset')} -> {options.get(key, 'unset')}"
        for key, name in OPTION_NAMES.items()
        if has.get(key) != options.get(key)
    ]


def entry_of(jobfile: Jobfile, campaign: Mapping[str, str], outputs: str) -> Entry:
    """The jobfile in the queue: its own header is above the campaign's options.

    A walltime that it asks of another scheduler (`#SBATCH --time`) is an upper limit and no estimate, so it decides nothing here: a start
    that waits for 48 h of walltime may never come.
    """
    own = jobfile.options

    def number(header: float | None, option: str, default: float) -> float:
        return float(campaign.get(option) or default) if header is None else header

    return Entry(
        name=jobfile.path.name,
        priority=int(number(own.priority, "priority", DEFAULT_PRIORITY)),
        per_node=int(number(own.per_node, "per_node", 0)),
        estimate_s=number(own.time_s, "time_s", 0),
        own=tuple(
            name for name, value in (("priority", own.priority), ("per_node", own.per_node), ("time", own.time_s)) if value is not None
        ),
        outputs=outputs,
    )
