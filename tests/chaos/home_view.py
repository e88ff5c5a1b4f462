"""A home as one node sees it: the same files as everybody's, but for those whose view a test spoils."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from servers import address_of
from whole.machine import Machine

from broker.address import write_address
from broker.home import Home

#: What a node uses of its home.
_SHARED = ("password", "address.json", "heartbeat", "records")


def _view_of(home: Home, root: Path) -> Home:
    for name in _SHARED:
        (root / name).symlink_to(home.root / name)
    return Home(root)


def address_by_port(view: Home, port: int) -> None:
    """From now on this view's broker is reached by that port of this machine, and no other way."""
    address = address_of(view)
    view.address_file.unlink()
    write_address(view, replace(address, hosts=("127.0.0.1",), port=port, socket=""))


@contextmanager
def node_with_its_own_view(machine: Machine, folder: Path) -> Iterator[Machine]:
    """A second machine on the broker of the first; it is for starting nodes, which find the home at another path."""
    folder.mkdir()
    root = Path(tempfile.mkdtemp(prefix="nt-view-"))
    own = Machine(_view_of(machine.home, root), folder)
    ours = {name: value for name, value in machine.environ.items() if name.startswith("NUNATAK_LEASE") or name.startswith("NUNATAK_WORKER")}
    own.environ |= ours | {"NUNATAK_WORKER_LOG_DIR": str(own.logs)}
    own.home.create()
    try:
        yield own
    finally:
        own.close()
        # Of the symlinks only themselves.
        shutil.rmtree(root)


def freeze_view(view: Home, name: str) -> Path:
    """The path of a file of this view, which is nobody else's from now on; it is not there yet."""
    path = view.root / name
    os.unlink(path)
    return path
