"""A simulated clock, and code that waits for answers while it passes: the same schedule for the same seed."""

import heapq
import itertools
import threading
from collections.abc import Callable
from typing import Any


class Clock:
    """What is to happen, in the order of its time; nothing takes longer than it says."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], object]]] = []
        self._serial = itertools.count()

    def after(self, seconds: float, event: Callable[[], object]) -> None:
        self.at(self.now + seconds, event)

    def at(self, time: float, event: Callable[[], object]) -> None:
        heapq.heappush(self._events, (max(time, self.now), next(self._serial), event))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = until

    # In the place of the module `time`, and of `boottime`.
    def monotonic(self) -> float:
        return self.now

    time = monotonic


class Abandoned(BaseException):
    """The process whose code this was is dead."""


class Fiber:
    """A thread that runs only while the simulation waits for it: between two answers of the broker it takes no time."""

    def __init__(self) -> None:
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._body: Callable[[], object] | None = None
        self._answer: Any = None
        self.error: BaseException | None = None
        self.waits = False
        threading.Thread(target=self._loop, daemon=True).start()

    def run(self, body: Callable[[], object]) -> None:
        """Run it until it waits or ends."""
        self._body = body
        self._switch()

    def answer(self, value: Any) -> None:
        """What it waited for: returned there, or raised if it is an error."""
        self._answer = value
        self._switch()

    def wait(self) -> Any:
        """Called by the body."""
        self.waits = True
        self._back.release()
        self._go.acquire()
        self.waits = False
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer

    def close(self) -> None:
        """The thread ends."""
        self._body = None
        if self.waits:
            self.answer(Abandoned())
        self._body = None
        self._go.release()

    def _switch(self) -> None:
        self._go.release()
        self._back.acquire()
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    def _loop(self) -> None:
        while True:
            self._go.acquire()
            if self._body is None:
                return
            try:
                self._body()
            except Abandoned:
                pass
            except BaseException as error:  # noqa: BLE001 - raised again by who runs it
                self.error = error
            self._back.release()


class Fibers:
    """Threads to take and give back: a schedule needs many, one after another."""

    def __init__(self) -> None:
        self._idle: list[Fiber] = []

    def take(self) -> Fiber:
        return self._idle.pop() if self._idle else Fiber()

    def give_back(self, fiber: Fiber) -> None:
        if fiber.waits:
            fiber.answer(Abandoned())
        self._idle.append(fiber)

    def close(self) -> None:
        for fiber in self._idle:
            fiber.close()
        self._idle.clear()


class Wake:
    """In the place of a `threading.Event` that a loop of the simulated worker waits for."""

    def __init__(self, poke: Callable[[], object]) -> None:
        self._poke = poke
        self._set = False

    def set(self) -> None:
        self._set = True
        self._poke()

    def clear(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        return self._set
