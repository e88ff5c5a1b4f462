"""A filesystem of a few blocks, which a test can fill."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import missing


class TinyDisk:
    """Mounted over a folder; what was there is back when it is unmounted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """To the last byte."""
        with self._filler.open("wb", buffering=0) as file:
            for size in (4096, 1):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        self._filler.unlink()


@contextmanager
def tiny_disk(folder: Path, size: str) -> Iterator[TinyDisk]:
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        missing(f"the right to mount a tmpfs ({done.stderr.strip()})")
    try:
        yield TinyDisk(folder)
    finally:
        # Lazy: what still has a file open there ends with the test.
        subprocess.run(["umount", "-l", str(folder)], check=True)
