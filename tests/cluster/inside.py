"""How a command is run inside of a host: the command line of cluster/enter.py."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster import user
from cluster.program import program
from cluster.reference import Reference


@dataclass(frozen=True, kw_only=True)
class Inside:
    """A command on a host, by whom, where."""

    argv: Sequence[str | Path]
    #: "alice" or "root".
    user: str
    #: The user's home.
    home: Path
    #: Where the `nunatak` program is.
    programs: Path
    #: None: the home; for root, `/`.
    cwd: Path | str | None = None
    #: Variables beside those of a login.
    env: Mapping[str, str] | None = None
    #: It is left behind in the host.
    detached: bool = False
    #: It has this terminal: a person types.
    terminal: bool = False

    def command(self, host: Reference, freezer: bool) -> list[str]:
        ordinary = self.user == user.NAME
        wanted = {
            "pid": host.pid,
            "freezer": freezer,
            "argv": [str(word) for word in self.argv],
            "uid": user.UID if ordinary else 0,
            "cwd": str(self.cwd or (self.home if ordinary else "/")),
            "env": {**user.environment(self.user, self.home, self.programs), **(self.env or {})},
            "detached": self.detached,
            "terminal": self.terminal,
        }
        return program("cluster.enter", json.dumps(wanted))
