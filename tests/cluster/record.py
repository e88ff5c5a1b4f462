"""What a cluster's folder says about it, so that any later process finds all of it, and knows whether it is still wanted."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from cluster.reference import Reference
from cluster.slurm_conf import Shape


@dataclass(frozen=True, kw_only=True)
class Record:
    """The file cluster.json."""

    shape: Shape
    #: Who brought it up and will take it down; None: a person does, with `down`.
    owner: Reference | None
    #: The first process of the outermost host; with it all others end.
    fabric: Reference | None = None
    #: The first process of each host.
    hosts: Mapping[str, Reference] = field(default_factory=dict)
    #: Whether the hosts have a freezer.
    freezer: bool = False

    @property
    def abandoned(self) -> bool:
        return self.owner is not None and not self.owner.alive

    def with_hosts(self, hosts: Mapping[str, Reference]) -> "Record":
        return replace(self, hosts={**self.hosts, **hosts})

    def save(self, folder: Path) -> None:
        file = _file(folder)
        new = file.with_suffix(".new")
        new.write_text(json.dumps(asdict(self), indent=1))
        new.replace(file)


def _file(folder: Path) -> Path:
    return folder / "cluster.json"


def load(folder: Path) -> Record | None:
    """None if there is no cluster in this folder."""
    try:
        read = json.loads(_file(folder).read_text())
    except FileNotFoundError:
        return None
    owner, fabric = (None if read[key] is None else Reference(**read[key]) for key in ("owner", "fabric"))
    hosts = {name: Reference(**reference) for name, reference in read["hosts"].items()}
    return Record(shape=Shape(**read["shape"]), owner=owner, fabric=fabric, hosts=hosts, freezer=read["freezer"])


def fabrics_of(folder: Path) -> list[Reference]:
    """Outermost hosts of this folder that no record knows: whoever brought them up was killed before it could write."""
    word = f"NUNATAK_CLUSTER={folder}".encode()
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal() and _read(place / "cmdline").startswith(b"init[fabric]\0") and word in _environment(place):
            found.append(Reference.of(int(place.name)))
    return found


def _environment(place: Path) -> list[bytes]:
    return _read(place / "environ").split(b"\0")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def this_process() -> Reference:
    return Reference.of(os.getpid())
