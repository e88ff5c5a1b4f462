"""The broker's password: a file for its owner only, never an argument, never in the environment."""

import os
import secrets
import stat
import tempfile
from pathlib import Path

from broker.errors import BrokerError
from broker.home import Home


def password(home: Home, create: bool) -> str:
    """The broker's password, made at the first call with `create`; raises BrokerError if there is none, or others can read it."""
    path = home.password_file
    if create and not path.exists():
        _create(path)
    try:
        found = path.stat()
        text = path.read_text().strip()
    except FileNotFoundError as error:
        raise BrokerError(f"no password in {path}: no broker was started with this home yet; run `nunatak broker start`") from error
    except OSError as error:
        raise BrokerError(f"the password cannot be read: {error}; is {home.root} yours, and its filesystem there?") from error
    if found.st_mode & 0o077:
        raise BrokerError(
            f"{path} can be read by others (mode {stat.S_IMODE(found.st_mode):o}): stop the broker, remove the file, "
            "and start the broker again"
        )
    if not text:
        raise BrokerError(f"{path} is empty: stop the broker, remove the file, and start the broker again")
    return text


def _create(path: Path) -> None:
    """Write a new password, unless somebody else is first; nobody ever sees half of one."""
    # mkstemp makes it 0600 from its first moment.
    fd, name = tempfile.mkstemp(prefix=".password-", dir=path.parent)
    try:
        with os.fdopen(fd, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(name, path)
    except FileExistsError:
        pass  # the other one's counts
    finally:
        Path(name).unlink()
