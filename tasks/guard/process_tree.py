"""Which processes belong to which attempt: ancestry first, then memory, session and the token in the environment.

The guard is subreaper, so whatever an attempt starts stays a descendant of the guard, by whatever way it leaves its session or its
parent. A descendant whose chain of parents leads to an attempt's root (the jobfile itself) is that attempt's. One whose chain leads
to an orphan that the guard has inherited is that orphan's: of the attempt in which it was seen before, else of the attempt whose
session it is in, else of the one whose token it carries, else of the only one that there is.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from tasks.guard.process import Process, all_pids, read_children, read_environ, read_process

TOKEN = b"NUNATAK_TOKEN"

#: Generations of processes, parents before their children.
Levels = list[list[Process]]


class Kin(Enum):
    """Whose a process is that is no attempt's."""

    #: Not below the guard, and so never will be.
    FOREIGN = "foreign"
    #: Below the worker or another child of the guard's own.
    HELPER = "helper"
    #: An orphan that carries the token of an attempt that has ended.
    LEFT_OVER = "left over"
    #: An orphan of which nobody knows whose it is.
    STRAY = "stray"
    #: Its parents changed while we looked.
    UNKNOWN = "unknown"


Owner = str | Kin


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """The guard's descendants at one moment."""

    #: The living processes of each attempt, by its token.
    attempts: Mapping[str, Levels]
    #: What attempts that have ended left behind.
    left_over: tuple[Process, ...]
    #: Orphans of unknown descent.
    strays: tuple[Process, ...]

    def of(self, token: str) -> Levels:
        return self.attempts.get(token, [])

    def rss_bytes(self, token: str) -> int:
        return sum(process.rss_bytes for level in self.of(token) for process in level)


@dataclass(kw_only=True)
class ProcessTree:
    """Everything below one guard, read from /proc."""

    guard_pid: int
    read: Callable[[int], Process | None] = read_process
    pids: Callable[[], Iterable[int]] = all_pids
    environ: Callable[[int], Mapping[bytes, bytes]] = read_environ
    children: Callable[[int], set[int] | None] = read_children
    #: The jobfiles' own processes, not reaped yet: pid to token.
    roots: dict[int, str] = field(default_factory=dict)
    #: Sessions of the attempts that have not ended: the root's pid to the token. Outlives the root.
    sessions: dict[int, str] = field(default_factory=dict)
    #: Children of the guard that are no jobfiles, with all that is below them.
    helpers: set[int] = field(default_factory=set)
    #: Whose each descendant was when last seen: pid to (start, owner).
    _seen: dict[int, tuple[int, Owner]] = field(default_factory=dict)
    #: Orphans whose environment was of no use, as (pid, start): it is read once (see `read_environ`).
    _strays: set[tuple[int, int]] = field(default_factory=set)
    #: Processes of other people's, not read again: nothing becomes our descendant that was not born as one.
    _foreign: set[int] = field(default_factory=set)

    def add_root(self, pid: int, token: str) -> None:
        self.roots[pid] = token
        self.sessions[pid] = token
        self._foreign.discard(pid)

    def drop(self, pid: int) -> None:
        """An attempt has ended: its session means nothing any more."""
        self.roots.pop(pid, None)
        self.sessions.pop(pid, None)

    def has_no_orphans(self) -> bool:
        """Whether jobfiles that have ended have left nothing: it would be the guard's own child by now. Cheaper than a look."""
        children = self.children(self.guard_pid)
        return children is not None and children <= self.helpers | self.roots.keys()

    def owner_of_zombie(self, process: Process) -> str | None:
        """Whose a child that waits to be reaped was; its environment is gone."""
        owner = self._seen_owner(process) or self.sessions.get(process.session) or self._only_one()
        return owner if isinstance(owner, str) else None

    def _seen_owner(self, process: Process) -> Owner | None:
        start, owner = self._seen.get(process.pid, (0, None))
        return owner if start == process.start else None

    def look(self, *, fresh: bool = False) -> Sighting:
        """Read /proc. `fresh`: also what was other people's at the last look, in case a number was used again."""
        table = self._read_table(fresh)
        owners: dict[int, Owner] = {}
        levels: dict[int, int] = {}
        for pid in table:
            self._settle_owner(pid, table, owners, levels)
        self._remember(table, owners)
        return _sort(table, owners, levels)

    def _read_table(self, fresh: bool) -> dict[int, Process]:
        pids = set(self.pids())
        self._foreign = set() if fresh else self._foreign & pids
        table = self._read_some(pids - self._foreign)
        # A parent may have gone while we read: its children have another one now.
        for _ in range(3):
            lost = [p.pid for p in table.values() if p.ppid and p.ppid not in table and p.ppid not in self._foreign]
            if not lost:
                break
            for pid in lost:
                del table[pid]
            table |= self._read_some(lost)
        return table

    def _read_some(self, pids: Iterable[int]) -> dict[int, Process]:
        return {p.pid: p for p in map(self.read, pids) if p is not None}

    def _settle_owner(self, pid: int, table: Mapping[int, Process], owners: dict[int, Owner], levels: dict[int, int]) -> None:
        """Walk up from `pid` to something whose owner is known, then hand that down to all that were passed."""
        chain: list[int] = []
        while pid not in owners:
            process = table.get(pid)
            if process is None or pid == self.guard_pid:
                owners[pid], levels[pid] = self._owner_of_unread(pid), 0
            elif process.ppid == self.guard_pid:
                owners[pid], levels[pid] = self._owner_of_child(process), 0 if pid in self.roots else 1
            else:
                chain.append(pid)
                pid = process.ppid
        for below in reversed(chain):
            owners[below], levels[below] = owners[pid], levels[pid] + 1
            pid = below

    def _owner_of_unread(self, pid: int) -> Kin:
        return Kin.FOREIGN if pid in (0, self.guard_pid) or pid in self._foreign else Kin.UNKNOWN

    def _owner_of_child(self, child: Process) -> Owner:
        if child.pid in self.helpers:
            return Kin.HELPER
        if child.pid in self.roots:
            return self.roots[child.pid]
        return self._seen_owner(child) or self.sessions.get(child.session) or self._owner_by_environ(child)

    def _owner_by_environ(self, orphan: Process) -> Owner:
        key = (orphan.pid, orphan.start)
        environ = {} if key in self._strays else self.environ(orphan.pid)
        token = environ.get(TOKEN)
        if token is not None:
            name = token.decode(errors="surrogateescape")
            return name if name in self.sessions.values() else Kin.LEFT_OVER
        # An empty one may be that of a process which is just being exec'ed.
        if environ:
            self._strays.add(key)
        return self._only_one() or Kin.STRAY

    def _only_one(self) -> str | None:
        tokens = set(self.sessions.values())
        return tokens.pop() if len(tokens) == 1 else None

    def _remember(self, table: Mapping[int, Process], owners: Mapping[int, Owner]) -> None:
        self._seen = {pid: (p.start, owners[pid]) for pid, p in table.items() if isinstance(owners[pid], str)}
        self._strays &= {(p.pid, p.start) for p in table.values()}
        self._foreign |= {pid for pid in table if owners[pid] is Kin.FOREIGN}


def _sort(table: Mapping[int, Process], owners: Mapping[int, Owner], levels: Mapping[int, int]) -> Sighting:
    attempts: dict[str, Levels] = defaultdict(list)
    others: dict[Kin, list[Process]] = defaultdict(list)
    for pid, process in table.items():
        owner = owners[pid]
        if process.is_gone:
            continue
        if isinstance(owner, str):
            _add(attempts[owner], levels[pid], process)
        else:
            others[owner].append(process)
    return Sighting(attempts=attempts, left_over=tuple(others[Kin.LEFT_OVER]), strays=tuple(others[Kin.STRAY]))


def _add(generations: Levels, level: int, process: Process) -> None:
    while len(generations) <= level:
        generations.append([])
    generations[level].append(process)
