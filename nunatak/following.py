"""Reading a log while it is written: what is new, over rotations and truncations."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

#: Bytes passed on at a time.
_CHUNK = 1 << 16


class Follower:
    """Passes on what is appended to the file of a name; a new file of that name is read from its beginning."""

    def __init__(self, path: Path, pass_on: Callable[[bytes], object]) -> None:
        self._path = path
        self._pass_on = pass_on
        self._open: BinaryIO | None = None

    def run_once(self) -> bool:
        """Pass on what is new; whether there was anything. A file that is not there (yet) has nothing new."""
        # Asked first: what the old file got until it was replaced is read before the new one.
        replaced = self._replaced()
        passed = self._drain()
        if replaced:
            self.close()
            self._open = self._opened()
            passed = self._drain() or passed
        return passed

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _opened(self) -> BinaryIO | None:
        try:
            return self._path.open("rb")
        except FileNotFoundError:
            return None

    def _replaced(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        if self._open is None:
            return True
        ours = os.fstat(self._open.fileno())
        return (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino)

    def _drain(self) -> bool:
        if self._open is None:
            return False
        if os.fstat(self._open.fileno()).st_size < self._open.tell():
            self._open.seek(0)
        passed = False
        while chunk := self._open.read(_CHUNK):
            self._pass_on(chunk)
            passed = True
        return passed
