"""Which processors a jobfile gets: neighbours in one memory node, as far as there are enough."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_NODES = "/sys/devices/system/node"
_CPUS = "/sys/devices/system/cpu"


def parse_list(text: str) -> list[int]:
    """`0-3,8` is 0, 1, 2, 3, 8 (the format of the kernel's cpulist files)."""
    numbers: list[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def in_order(usable: set[int], node_of: Mapping[int, int], core_of: Mapping[int, int]) -> tuple[int, ...]:
    """The usable processors so that neighbours share as much as possible: by memory node, then by core."""
    return tuple(sorted(usable, key=lambda cpu: (node_of.get(cpu, 0), core_of.get(cpu, cpu), cpu)))


def read_order() -> tuple[int, ...]:
    """This process's processors in that order, as /sys shows them."""
    usable = os.sched_getaffinity(0)
    return in_order(usable, _memory_nodes(), {cpu: _first_sibling(cpu) for cpu in usable})


def _memory_nodes() -> dict[int, int]:
    """Of each processor; none on a kernel without them."""
    try:
        names = [name for name in os.listdir(_NODES) if name.startswith("node") and name[4:].isdigit()]
    except FileNotFoundError:
        return {}
    return {cpu: int(name[4:]) for name in names for cpu in parse_list(_read(f"{_NODES}/{name}/cpulist"))}


def _first_sibling(cpu: int) -> int:
    try:
        return min(parse_list(_read(f"{_CPUS}/cpu{cpu}/topology/thread_siblings_list")))
    except FileNotFoundError:  # As in some containers.
        return cpu


def _read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096).decode()
    finally:
        os.close(fd)


@dataclass
class Shares:
    """The processors of one node, as they are given out and come back."""

    order: Sequence[int]
    _taken: dict[int, int] = field(default_factory=dict)

    def size(self, share: float) -> int:
        """How many processors a share of the node is."""
        return max(1, min(len(self.order), int(len(self.order) * share + 1e-6)))

    def take(self, share: float) -> frozenset[int]:
        """The neighbours that fewest others use; of several such, the first."""
        size = self.size(share)
        starts = range(len(self.order) - size + 1)
        best = min(starts, key=lambda start: (self._load(start, size), start % size, start))
        cpus = frozenset(self.order[best : best + size])
        for cpu in cpus:
            self._taken[cpu] = self._taken.get(cpu, 0) + 1
        return cpus

    def _load(self, start: int, size: int) -> int:
        return sum(self._taken.get(cpu, 0) for cpu in self.order[start : start + size])

    def give_back(self, cpus: frozenset[int]) -> None:
        for cpu in cpus:
            self._taken[cpu] -= 1
