"""What jobfiles say of themselves while they run: the only witness of who ran when that is none of ours."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

#: `TICKER NAME COUNT`: says every tenth of a second that it runs; without a fork, so that it costs nothing.
_TICKER = """#!/bin/bash
say() {{ echo "$EPOCHREALTIME $1 $2 $NUNATAK_TOKEN $NUNATAK_ATTEMPT $$ $NUNATAK_NODE" >> {log}; }}
for ((i = 0; i < $2; i++)); do sleep 0.1; say tick $1; done
"""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One attempt, from its first sign of life to its last, of whichever of its processes."""

    name: str
    token: str
    attempt: int
    first: float
    last: float
    #: It came to its end by itself.
    ended: bool
    #: Its processes that have said anything.
    pids: frozenset[int]
    #: Where it ran.
    node: str


class RunLog:
    """A file that jobfiles append lines to: time, what, name, token, attempt, process, node."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "runs.log"
        self.path.touch()
        self.ticker = folder / "ticker"
        self.ticker.write_text(_TICKER.format(log=self.path))
        self.ticker.chmod(0o755)

    def text(self, name: str, seconds: float, before: str = "", after: str = "") -> str:
        """A jobfile's text that shows for so long that it runs, with lines of the test's own before and after."""
        say = f'say() {{ echo "$EPOCHREALTIME $1 {name} $NUNATAK_TOKEN $NUNATAK_ATTEMPT $$ $NUNATAK_NODE" >> {self.path}; }}'
        ticks = f"for ((i = 0; i < {round(seconds * 10)}; i++)); do sleep 0.1; say tick; done"
        return "\n".join(part for part in (say, "say start", before, ticks, after, "say end") if part)

    def runs(self) -> list[Run]:
        """Every attempt, in the order of their starts."""
        lines: dict[tuple[str, str], list[list[str]]] = defaultdict(list)
        for words in map(str.split, self.path.read_text().splitlines()):
            lines[words[2], words[3]].append(words)
        return sorted((_run(name, token, said) for (name, token), said in lines.items()), key=lambda run: run.first)

    def of(self, name: str) -> list[Run]:
        return [run for run in self.runs() if run.name == name]

    def twice_at_once(self) -> list[tuple[Run, Run]]:
        """Attempts of one jobfile of which the earlier one still showed a sign of life when the later one had begun."""
        runs = self.runs()
        names = {run.name for run in runs}
        return [(a, b) for name in names for a, b in pairwise(r for r in runs if r.name == name) if a.last > b.first]

    def most_at_once(self, weights: dict[str, float], node: str | None = None) -> float:
        """The largest sum of the weights of what ran at one moment, on one node or on all."""
        runs = [run for run in self.runs() if node in (None, run.node)]
        return max((sum(weights[r.name] for r in _at(runs, moment.first)) for moment in runs), default=0.0)


def _run(name: str, token: str, said: list[list[str]]) -> Run:
    times = [float(words[0]) for words in said]
    return Run(
        name=name,
        token=token,
        attempt=int(said[0][4]),
        first=min(times),
        last=max(times),
        ended=any(words[1] == "end" for words in said),
        pids=frozenset(int(words[5]) for words in said),
        node=said[0][6],
    )


def _at(runs: Iterable[Run], moment: float) -> list[Run]:
    return [run for run in runs if run.first <= moment < run.last]
