"""One attempt to run a jobfile, as the guard keeps it."""

import os
import time
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from tasks.guard.accounting import Usage
from tasks.guard.clock import boottime
from tasks.guard.loop import Timer
from tasks.guard.protocol import Ending, Entry, StartOrder

#: Why an attempt has ended that was warned and then ended by itself.
WARNED = "warned"


class State(Enum):
    """How far an attempt has come."""

    #: The child is on its way to the jobfile's first instruction.
    STARTING = "starting"
    RUNNING = "running"
    #: Every process of it stands still.
    FROZEN = "frozen"
    #: The jobfile itself has ended; what it left behind is given a moment, then ended.
    CLOSING = "closing"
    #: No process is left; its record is being written.
    RECORDING = "recording"
    #: The worker was told, or will be when there is one; kept until it says that the broker knows.
    ENDED = "ended"


_MOVES = {
    State.STARTING: {State.RUNNING, State.CLOSING},
    State.RUNNING: {State.FROZEN, State.CLOSING},
    State.FROZEN: {State.RUNNING, State.CLOSING},
    State.CLOSING: {State.RECORDING},
    State.RECORDING: {State.ENDED},
    State.ENDED: set(),
}

#: What a worker is told of each state.
_SHOWN = {State.FROZEN: "frozen", State.ENDED: "ended"}


@dataclass(kw_only=True, slots=True)
class Attempt:
    """Changed by `Orders` and `Closing` only."""

    order: StartOrder
    slot: int
    cpus: frozenset[int]
    tmpdir: str
    pid: int
    #: Says whether the jobfile could be started; None once it has.
    told_fd: int | None
    #: CLOCK_BOOTTIME of its dead-man's switch; None: it has none.
    deadline: float | None
    started: float = field(default_factory=boottime)
    state: State = State.STARTING
    usage: Usage = field(default_factory=Usage)
    #: Why it is being ended; None: it runs its course.
    ended_for: str | None = None
    #: The jobfile's own wait status, None until it was reaped.
    status: int | None = None
    #: CLOCK_BOOTTIME of the jobfile's own exit.
    exited: float | None = None
    escaped: int = 0
    frozen_since: float | None = None
    frozen_s: float = 0.0
    frozen_once: bool = False
    #: SIGKILL was sent to all of it.
    killed: bool = False
    #: CLOCK_BOOTTIME at which it was warned of its node's end; None: it was not.
    warned_at: float | None = None
    switch: Timer | None = None
    #: The next thing to do about its end.
    closing: Timer | None = None
    #: Tells the worker that it runs, unless it has ended by then.
    news: Timer | None = None
    #: Its warning before the node's end, and then that end.
    warning: Timer | None = None
    ending: Ending | None = None

    @property
    def token(self) -> str:
        return self.order.token

    @property
    def is_active(self) -> bool:
        """Whether it may have processes."""
        return self.state not in (State.RECORDING, State.ENDED)

    def move(self, state: State) -> None:
        if state not in _MOVES[self.state]:
            raise ValueError(f"an attempt cannot go from {self.state.value} to {state.value}")
        self.state = state

    def freeze_began(self) -> None:
        self.move(State.FROZEN)
        self.frozen_once, self.frozen_since = True, boottime()

    def freeze_ended(self) -> None:
        if self.frozen_since is not None:
            self.frozen_s += boottime() - self.frozen_since
            self.frozen_since = None

    def disarm(self) -> None:
        """No timer of its own is left."""
        for timer in (self.switch, self.closing, self.news, self.warning):
            if timer is not None:
                timer.cancel()

    def conclude(self) -> None:
        """No process of it is left, or all have SIGKILL pending: fix its ending."""
        self.freeze_ended()
        code = None if self.status is None else os.waitstatus_to_exitcode(self.status)
        self.ending = Ending(
            exit_code=code if code is not None and code >= 0 else None,
            # Not reaped in spite of SIGKILL: blocked in the kernel, and that signal is the next thing it sees.
            signal=9 if code is None else -code if code < 0 else None,
            elapsed_s=round((self.exited or boottime()) - self.started, 3),
            frozen_s=round(self.frozen_s, 3),
            cpu_s=round(self.usage.cpu_s, 3),
            max_rss_mb=self.usage.max_rss_mb,
            escaped=self.escaped,
            frozen_once=self.frozen_once,
            ended_for=self.ended_for or (WARNED if self.warned_at is not None else None),
            ended_unix=round(time.time(), 3),
            recorded=False,
        )

    def note_recorded(self, recorded: bool) -> Ending:
        if self.ending is None:
            raise ValueError("an attempt is recorded after its conclusion")
        self.ending = replace(self.ending, recorded=recorded)
        return self.ending

    def record_body(self) -> dict[str, Any]:
        """What the next claimer of the jobfile needs to know, if the broker was never told."""
        ending = self.ending.to_message() if self.ending is not None else {}
        del ending["recorded"]
        return {"id": self.order.id, "attempt": self.order.attempt, "token": self.token, **ending}

    def entry(self) -> Entry:
        """As a new worker is told of it."""
        return Entry(
            token=self.token,
            id=self.order.id,
            attempt=self.order.attempt,
            blob=self.order.blob,
            pid=self.pid,
            started_boottime=self.started,
            state=_SHOWN.get(self.state, "running"),
            deadline=self.deadline,
            record=self.order.record,
            ending=self.ending if self.state is State.ENDED else None,
        )
