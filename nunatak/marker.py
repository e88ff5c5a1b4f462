"""The file `.nunatak` in an enqueued directory: it names the home whose broker has the jobfiles (LEASES rule 23).

Two brokers that both held one directory would each start every jobfile.
"""

import json
import os
from pathlib import Path

from broker.errors import AnotherHome
from broker.home import Home

NAME = ".nunatak"


def check_marker(directory: Path, home: Home, force: bool = False) -> None:
    """Raise AnotherHome if the directory belongs to another home and `force` does not say that this is known."""
    marked = read_marker(directory)
    if marked is None or force or marked == _real(home):
        return
    raise AnotherHome(
        f"the jobfiles of {directory} are in the queue of {marked or 'an unknown home'} (says {directory / NAME}), and this one is "
        f"{_real(home)}. Use that one: NUNATAK_HOME={marked or '…'}; or, if nothing of it waits or runs there any more, --force"
    )


def read_marker(directory: Path) -> str | None:
    """The home that the marker names; None if there is no marker, empty if it cannot be understood."""
    try:
        return str(json.loads((directory / NAME).read_bytes())["home"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        return ""


def write_marker(directory: Path, home: Home) -> str | None:
    """Mark the directory as this home's. Returns a warning if that cannot be done: the directory may be one to read only."""
    if read_marker(directory) == _real(home):
        return None
    new = directory / f"{NAME}.{os.getpid()}"
    try:
        new.write_text(json.dumps({"home": _real(home)}) + "\n", encoding="ascii")
        new.replace(directory / NAME)
    except OSError as error:
        return (
            f"{directory / NAME} cannot be written ({error.strerror}): nothing keeps another home's broker from enqueueing "
            "these jobfiles a second time"
        )
    return None


def _real(home: Home) -> str:
    return os.path.realpath(home.root)
