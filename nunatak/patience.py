"""How long to wait between two looks: short at first, longer the longer it takes."""

from collections.abc import Iterator


def back_off(first_s: float = 0.2, last_s: float = 5.0, factor: float = 1.5) -> Iterator[float]:
    """Seconds to wait before each next look, for ever."""
    wait_s = first_s
    while True:
        yield wait_s
        wait_s = min(last_s, wait_s * factor)
