"""Ctrl-C and SIGTERM as a question that a loop asks itself; the second one leaves at once."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: A signal that comes while we sleep is noticed after this time at the latest.
_TICK_S = 0.1


class Interrupts:
    """While it is entered, the first signal is only noted, and each further one raises KeyboardInterrupt."""

    def __init__(self) -> None:
        #: Its user, or the system, wants the command to end.
        self.asked = False
        self._may_leave = True
        self._wants_to_leave = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # What is ignored from birth on (`nunatak run DIR &` in a script) stays ignored.
        heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # a handler's signature
        if self.asked and self._may_leave:
            raise KeyboardInterrupt
        self._wants_to_leave = self.asked
        self.asked = True

    @contextmanager
    def held(self) -> Iterator[None]:
        """Something that must be begun before anybody leaves; a further signal is heard after it."""
        self._may_leave = False
        try:
            yield
        finally:
            self._may_leave = True
        if self._wants_to_leave:
            self._wants_to_leave = False
            raise KeyboardInterrupt

    def sleep(self, seconds: float) -> None:
        """Wait, but not on after the first signal."""
        end = time.monotonic() + seconds
        while not self.asked and time.monotonic() < end:
            time.sleep(min(_TICK_S, seconds))
