"""The clock of all deadlines."""

import time


def boottime() -> float:
    """CLOCK_BOOTTIME in seconds: it counts suspended time too, and nobody can set it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
