"""The guard's log: lines on standard error, by a writer of its own.

The standard library's `logging` imports `threading`, and that registers functions with `os.fork` which run in each child and touch its
memory: a fork of the guard took 0.66 ms instead of 0.27, and 187 page faults instead of 54 (benchmarks/README.md).
"""

import contextlib
import os
import sys
import time


def _write(level: str, words: str, values: tuple[object, ...]) -> None:
    now = time.time()
    stamp = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(now))},{int(now * 1000) % 1000:03d}"
    line = f"{stamp} guard {level} {words % values if values else words}\n"
    # A log that cannot be written (its disk is full) is no reason for anything to end.
    with contextlib.suppress(OSError):
        os.write(2, line.encode(errors="backslashreplace"))


def info(words: str, *values: object) -> None:
    """What goes as it should."""
    _write("INFO", words, values)


def warning(words: str, *values: object) -> None:
    """What a person may want to know."""
    _write("WARNING", words, values)


def error(words: str, *values: object) -> None:
    """What a person should look at."""
    _write("ERROR", words, values)


def exception(words: str, *values: object) -> None:
    """A fault of ours: the exception that is being handled follows."""
    _write("ERROR", words, values)
    sys.excepthook(*sys.exc_info())
