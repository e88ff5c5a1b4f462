"""What happens in a round of random faults: drawn from a seed, by a pure function."""

import random
from dataclasses import dataclass
from enum import Enum

#: Nodes on this machine, and jobfiles at a time on each.
NODES, SLOTS = 8, 3
JOBFILES = 300


class Kind(Enum):
    """What is done to whom."""

    WORKER_KILLED = "worker killed"
    WORKER_STOPPED = "worker stopped"
    GUARD_KILLED = "guard killed"
    BOTH_KILLED = "guard and worker killed"
    GUARD_TERMINATED = "guard told to leave"
    SERVER_KILLED = "server killed"
    SERVER_STOPPED = "server stopped"
    SUPERVISOR_KILLED = "supervisor killed"
    SUPERVISOR_STOPPED = "supervisor stopped"
    CONNECTIONS_CUT = "connections cut"


_WEIGHTS = dict(zip(Kind, (3, 4, 2, 2, 2, 3, 3, 3, 3, 3), strict=True))
#: In turns, only nodes are hit, and then everything. A broker that is hit every few seconds never takes anything from a node: after each
#: gap it waits for a lease and a margin. So nobody would ever start what a hung node has, and no test could see it run twice.
_PERIOD_S, _NODES_ONLY_S = 45.0, 25.0
_LONGEST_STOP_S = {Kind.WORKER_STOPPED: 15.0, Kind.SERVER_STOPPED: 10.0, Kind.SUPERVISOR_STOPPED: 10.0}
#: What costs a node the jobfiles that it runs, and what may.
ENDS_NODE = {Kind.GUARD_KILLED, Kind.BOTH_KILLED, Kind.GUARD_TERMINATED}
OF_NODE = ENDS_NODE | {Kind.WORKER_KILLED, Kind.WORKER_STOPPED}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One blow."""

    #: Since the first jobfile ran.
    at_s: float
    kind: Kind
    #: Whom it hits, if it hits a node.
    node: int
    #: How long what was stopped stands still; 0: it is not stopped.
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Work:
    """One jobfile."""

    name: str
    seconds: float
    #: It has a child in a session of its own, which outlives it.
    escapes: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a seed decides."""

    seed: int
    works: tuple[Work, ...]
    faults: tuple[Fault, ...]


def draw(seed: int, seconds: float) -> Plan:
    """The plan of a seed: the same one each time. For `seconds` something happens every 1.4 s."""
    dice = random.Random(seed)
    # More work for longer plans, so that there is some left when the last fault comes.
    works = tuple(_draw_work(dice, number) for number in range(max(JOBFILES, round(seconds * 6))))
    faults: list[Fault] = []
    at_s = dice.uniform(0.5, 2.3)
    while at_s < seconds:
        kind = _draw_kind(dice, only_nodes=at_s % _PERIOD_S < _NODES_ONLY_S)
        longest = _LONGEST_STOP_S.get(kind, 0.0)
        faults.append(Fault(at_s=at_s, kind=kind, node=dice.randrange(NODES), seconds=dice.uniform(1.0, longest) if longest else 0.0))
        at_s += dice.uniform(0.5, 2.3)
    return Plan(seed=seed, works=works, faults=tuple(faults))


def _draw_kind(dice: random.Random, *, only_nodes: bool) -> Kind:
    kinds = [kind for kind in Kind if kind in OF_NODE or not only_nodes]
    return dice.choices(kinds, [_WEIGHTS[kind] for kind in kinds])[0]


def _draw_work(dice: random.Random, number: int) -> Work:
    """0.1 to 8 s, mostly short; one in ten is much longer than a lease, so that somebody could start it twice."""
    seconds = dice.uniform(10.0, 16.0) if dice.random() < 0.1 else 0.1 + 7.9 * dice.random() ** 2
    return Work(name=f"j{number:03d}", seconds=seconds, escapes=dice.random() < 0.1)
