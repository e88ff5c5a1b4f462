"""Waiting for what a cluster does in its own time."""

import time
from collections.abc import Callable
from typing import Any


def wait(done: Callable[[], Any], timeout_s: float, what: Callable[[], str]) -> None:
    """Until it is true; raises TimeoutError, with what was waited for."""
    end = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {timeout_s:g} s for {what()}")
        time.sleep(0.05)
