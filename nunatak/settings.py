"""All settings: defaults, over them `$NUNATAK_HOME/config.toml`, over that the environment (`NUNATAK_<SECTION>_<KEY>`).

Only this file and nunatak/config_file.py read them; everything below the roof is handed values.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from broker.home import Home
from broker.settings import LeaseSettings, ServerSettings
from nunatak.config_file import Given, nearest, read_config
from nunatak.errors import BadSettings

_DEFAULT = "default"
_WANTED = {bool: "true or false", int: "a whole number", float: "a number"}
_WHOLE, _NUMBER = re.compile(r"-?[0-9]+"), re.compile(r"-?[0-9]+(\.[0-9]+)?(e[0-9]+)?")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True, kw_only=True)
class WorkerDefaults:
    """How the nodes of every block work, unless its site says otherwise."""

    #: A node that has run nothing for this long leaves.
    idle_s: float = 300.0
    #: A node with nothing running and no broker for this long leaves.
    no_broker_idle_s: float = 1800.0
    #: Between SIGTERM and SIGKILL, for a jobfile that is to end.
    term_grace_s: float = 2.0
    #: A worker that its guard has not heard of for this long is killed and started again; the jobfiles run on.
    hello_timeout_s: float = 90.0
    #: Where guards and workers write their logs, on the node; empty: a folder of the user's in the node's temporary folder.
    log_dir: str = ""
    #: Leave these logs where they are also after a good end.
    keep_logs: bool = False
    #: Where jobfiles get their own temporary folder, on the node; empty: the node's temporary folder.
    tmp_root: str = ""
    #: "slot": each jobfile gets its share of the processors; "none": all see all.
    bind: str = "none"
    #: Largest core file of a jobfile, in bytes; -1: the limit stays as the block has it.
    core_limit: int = 0
    #: How much sooner than other processes the kernel takes a jobfile when memory runs out, 0 to 1000.
    oom_score_adj: int = 500
    #: Leave SLURM_* and PMI* in the jobfiles' environment.
    keep_slurm_env: bool = False

    def __post_init__(self) -> None:
        if self.bind not in ("none", "slot"):
            raise ValueError(f"bind={self.bind!r}: use none or slot")
        if not 0 <= self.oom_score_adj <= 1000:
            raise ValueError(f"oom_score_adj={self.oom_score_adj}: use a number from 0 to 1000")
        if self.core_limit < -1:
            raise ValueError(f"core_limit={self.core_limit}: use a number of bytes, 0 for none, -1 for the block's own")
        for name in ("idle_s", "no_broker_idle_s", "hello_timeout_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name):g}: use more than 0")
        if self.term_grace_s < 0:
            raise ValueError(f"term_grace_s={self.term_grace_s:g}: use 0 or more")


@dataclass(frozen=True, kw_only=True)
class LauncherSettings:
    """How blocks are submitted to clusters; what a site allows stands in its site file."""

    #: A submission that can cost more SU than this is asked about (`--yes` answers).
    confirm_su: float = 100.0

    def __post_init__(self) -> None:
        if self.confirm_su < 0:
            raise ValueError(f"confirm_su={self.confirm_su:g}: use 0 or more")


#: The sections of the file, each a frozen dataclass that checks itself.
SECTIONS: Mapping[str, type] = {"lease": LeaseSettings, "server": ServerSettings, "worker": WorkerDefaults, "launcher": LauncherSettings}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting, and where each came from."""

    home: Home
    lease: LeaseSettings = field(default_factory=LeaseSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    worker: WorkerDefaults = field(default_factory=WorkerDefaults)
    launcher: LauncherSettings = field(default_factory=LauncherSettings)
    #: "section.key" -> "default", "FILE:LINE" or "$VARIABLE"; "home" is among them.
    origins: Mapping[str, str] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """"section.key" -> value, in the order of `SECTIONS`."""
        return {f"{s}.{f.name}": getattr(getattr(self, s), f.name) for s, kind in SECTIONS.items() for f in fields(kind)}


def home(environ: Mapping[str, str] | None = None) -> Home:
    """The broker's home: `$NUNATAK_HOME`, else ~/.nunatak."""
    given = (os.environ if environ is None else environ).get("NUNATAK_HOME", "")
    return Home(Path(os.path.abspath(Path(given).expanduser())) if given else Path.home() / ".nunatak")


def variable(section: str, key: str) -> str:
    """The environment variable of a setting."""
    return f"NUNATAK_{section}_{key}".upper()


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this user on this machine; raises BadSettings with the place and the remedy."""
    environ = os.environ if environ is None else environ
    place = home(environ)
    given = read_config(place.config_file, {name: _types(name) for name in SECTIONS}) | _from_environment(environ)
    sections = {name: _section(name, given) for name in SECTIONS}
    origins = {"home": "$NUNATAK_HOME" if environ.get("NUNATAK_HOME") else _DEFAULT}
    for name in SECTIONS:
        origins |= {f"{name}.{key}": given[name, key].place if (name, key) in given else _DEFAULT for key in _types(name)}
    return Settings(home=place, origins=origins, **sections)


def _types(section: str) -> dict[str, type]:
    return {f.name: type(f.default) for f in fields(SECTIONS[section])}


def _section(name: str, given: Mapping[tuple[str, str], Given]) -> Any:
    """The section as a value; what it refuses is said with the place of a setting that takes part in it."""
    values = {key: g.value for (section, key), g in given.items() if section == name}
    try:
        return SECTIONS[name](**values)
    except ValueError as error:
        raise BadSettings(f"{_place_of(name, str(error), given)}: {error}") from error


def _place_of(section: str, message: str, given: Mapping[tuple[str, str], Given]) -> str:
    """Where the first setting stands that the message names and that somebody has set."""
    named = [given[section, word] for word in re.findall(r"\w+", message) if (section, word) in given]
    others = [g for (s, _), g in given.items() if s == section]
    return (named or others)[0].place


def _from_environment(environ: Mapping[str, str]) -> dict[tuple[str, str], Given]:
    found = {}
    for name, text in environ.items():
        section = next((s for s in SECTIONS if name.startswith(variable(s, ""))), None)
        if section is None:
            continue
        key = name.removeprefix(variable(section, "")).lower()
        kind = _types(section).get(key)
        if kind is None:
            close = nearest(key, _types(section))
            raise BadSettings(f"${name}: there is no setting {key!r} in [{section}]; "
                              + (f"did you mean ${variable(section, close)}?" if close else "`nunatak config` lists them"))
        found[section, key] = Given(value=_parse(name, text, kind), place=f"${name}")
    return found


def _parse(name: str, text: str, kind: type) -> object:
    """A variable's text as the setting's type; raises BadSettings."""
    if kind is str:
        return text
    lowered = text.strip().lower()
    if kind is bool and lowered in _TRUE + _FALSE:
        return lowered in _TRUE
    pattern = {int: _WHOLE, float: _NUMBER}.get(kind)
    if pattern is None or not pattern.fullmatch(lowered):
        raise BadSettings(f"${name}={text!r}: use {_WANTED[kind]}")
    return kind(lowered)
