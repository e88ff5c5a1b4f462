"""A single-threaded loop: file descriptors, timers and signals, each with a callback. It sleeps unless one of them has come."""

import heapq
import itertools
import os
import selectors
import signal
from collections.abc import Callable
from dataclasses import dataclass

from tasks.guard.clock import boottime

#: A suspended machine's CLOCK_BOOTTIME goes on and the sleep does not: after it wakes, timers are at most this late.
_LONGEST_SLEEP_S = 30.0


@dataclass(slots=True)
class Timer:
    """One call in the future."""

    #: None: there is nothing left to call.
    call: Callable[[], None] | None

    def cancel(self) -> None:
        self.call = None


class Loop:
    """Runs callbacks until told to stop. Everything that can be read is handled before any timer: news may move a deadline."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        #: By CLOCK_BOOTTIME; the number keeps the order of those for the same moment.
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._on_signal: dict[int, Callable[[], None]] = {}
        self._stopped = False
        self._wake_fd, self._signal_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.watch(self._wake_fd, self._signals_came)

    def watch(self, fd: int, on_readable: Callable[[], None], *, on_writable: Callable[[], None] | None = None) -> None:
        """Call when `fd` can be read; with `on_writable`, also when it can be written. Watching again replaces."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if on_writable else 0)
        data = (on_readable, on_writable)
        if fd in self._selector.get_map():
            self._selector.modify(fd, events, data)
        else:
            self._selector.register(fd, events, data)

    def unwatch(self, fd: int) -> None:
        self._selector.unregister(fd)

    def at(self, when: float, call: Callable[[], None]) -> Timer:
        """Call once, at or after CLOCK_BOOTTIME `when`."""
        timer = Timer(call)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        return self.at(boottime() + seconds, call)

    def handle(self, signal_number: int, call: Callable[[], None]) -> None:
        """Call in the loop when the signal comes."""
        self._on_signal[signal_number] = call
        signal.signal(signal_number, _ignore)
        # System calls are restarted: whatever was under way need not know.
        signal.siginterrupt(signal_number, False)
        signal.set_wakeup_fd(self._signal_fd, warn_on_full_buffer=False)

    def _signals_came(self) -> None:
        # In order of their numbers, so that SIGCHLD (17) comes after SIGTERM (15): who leaves need not replace a worker that left.
        for number in sorted(set(os.read(self._wake_fd, 4096))):
            self._on_signal[number]()

    def stop(self) -> None:
        self._stopped = True

    def run(self) -> None:
        while not self._stopped:
            self.run_once(self._sleep_s())

    def run_once(self, timeout_s: float) -> None:
        """Wait for at most `timeout_s`, then call everything that is due."""
        for key, events in self._selector.select(timeout_s):
            on_readable, on_writable = key.data
            # An earlier callback of this round may have closed it.
            if events & selectors.EVENT_READ and self._is_watched(key):
                on_readable()
            if on_writable and events & selectors.EVENT_WRITE and self._is_watched(key):
                on_writable()
        self._run_timers()

    def _is_watched(self, key: selectors.SelectorKey) -> bool:
        now = self._selector.get_map().get(key.fd)
        return now is not None and now.data == key.data

    def _run_timers(self) -> None:
        now = boottime()
        while self._timers and self._timers[0][0] <= now:
            call = heapq.heappop(self._timers)[2].call
            if call is not None:
                call()

    def _sleep_s(self) -> float:
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return _LONGEST_SLEEP_S
        return min(max(0.0, self._timers[0][0] - boottime()), _LONGEST_SLEEP_S)


def _ignore(_number: int, _frame: object) -> None:
    """The wakeup descriptor has carried the signal's number into the loop."""
