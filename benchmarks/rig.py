"""What every benchmark stands on: a home and jobfiles in a temporary folder, our commands as processes, medians and ratios."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAM = (sys.executable, "-I", "-c", "from nunatak.main import main; main()")
TRIVIAL = "#!/bin/bash\n:\n"


@dataclass(frozen=True, kw_only=True)
class Rig:
    """One temporary folder; the broker's home is in it."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "NUNATAK_HOME": str(self.home), "NUNATAK_WORKER_LOG_DIR": str(self.root / "logs")}

    def call(self, *words: str) -> str:
        """One of our commands, to its end; its stdout. Raises CalledProcessError."""
        done = subprocess.run([*PROGRAM, *words], env=self.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, words, done.stdout, done.stderr[-2000:])
        return done.stdout

    def jobfiles(self, name: str, count: int, text: str = TRIVIAL) -> Path:
        """A new folder of jobfiles that are all the same."""
        folder = self.root / name
        folder.mkdir()
        for number in range(count):
            (folder / f"qsub_{number:06d}.sh").write_text(text)
        return folder


@contextmanager
def rig() -> Iterator[Rig]:
    """A rig whose broker is stopped afterwards, and whose folder is gone."""
    with tempfile.TemporaryDirectory(prefix="nb-") as root:
        made = Rig(root=Path(root))
        try:
            yield made
        finally:
            if made.home.exists():
                subprocess.run([*PROGRAM, "broker", "stop", "--force"], env=made.environ, capture_output=True, check=False)


def seconds(call: Callable[[], object]) -> float:
    """How long it takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def wait_until(condition: Callable[[], object], timeout_s: float, what: str, every_s: float = 0.005) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        time.sleep(every_s)


def print_ratios(rates: Mapping[str, Sequence[float]], ours: str, unit: str) -> None:
    """One line per contender: its median, and ours as a multiple of it."""
    mine = statistics.median(rates[ours])
    for name, values in rates.items():
        theirs = statistics.median(values)
        print(f"{name:34s} {theirs:8.1f} {unit}   {ours} / it = {mine / theirs:.3f}", flush=True)
