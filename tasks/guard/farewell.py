"""A node's last minutes: who asked for it is warned, and each jobfile is ended at the latest moment that lets it be handed back.

The warning goes to those processes of the jobfile that have a handler for the signal, and to no others. Sent to the jobfile's first
process alone it would end a plain `python3 main.py` in a script: the shell has no handler, dies of it, and takes the program along, which
has one. Sent to all it would end that shell too, and every `tee` and `sleep`.
"""

import time

from tasks.guard import log
from tasks.guard.attempt import Attempt, State
from tasks.guard.clock import boottime
from tasks.guard.closing import Closing
from tasks.guard.node import Node
from tasks.guard.process import catches, send
from tasks.guard.settings import GuardSettings

#: Slurm looks at its clock every 30 s and sends USR1 up to so much early.
_TICK_S = 40.0
#: Of what a node has when it must leave at once, so much is for jobfiles that were promised a warning; the rest is for handing back.
_WARNED_PART = 0.4


def warning_at(started: float, last: float, grace_s: float) -> float:
    """When a jobfile is warned: its grace before the last moment; one that has begun too late for that has half of its time."""
    return last - min(grace_s, max(0.0, (last - started) / 2))


def is_expected(settings: GuardSettings, now_unix: float) -> bool:
    """Whether USR1 only says what is known: the end is near, and the plan for it stands."""
    return settings.deadline_unix is not None and settings.deadline_unix - now_unix <= settings.warned_s + _TICK_S


class Farewell:
    """Warns and ends the jobfiles of a node that has an end."""

    def __init__(self, node: Node, closing: Closing) -> None:
        self._node = node
        self._closing = closing
        #: CLOCK_BOOTTIME at which jobfiles are ended; None: nobody has said.
        self._last: float | None = None

    def plan(self, deadline_unix: float) -> None:
        """The last moment is known, or known anew."""
        self._last = boottime() + deadline_unix - time.time()
        for attempt in self._node.active():
            self.arm(attempt)

    def arm(self, attempt: Attempt) -> None:
        """Plan the warning of a jobfile that runs."""
        if self._last is None or attempt.order.checkpoint is None or attempt.warned_at is not None:
            return
        if attempt.warning is not None:
            attempt.warning.cancel()
        when = warning_at(attempt.started, self._last, attempt.order.grace_s)
        attempt.warning = self._node.loop.at(when, lambda: self._warn(attempt))

    def _warn(self, attempt: Attempt) -> None:
        number = attempt.order.checkpoint
        if number is None or attempt.warned_at is not None or attempt.state is not State.RUNNING or attempt.ended_for is not None:
            return
        processes = [p for level in self._node.look(attempt)() for p in level]
        heard = sum(send(process, number) for process in processes if catches(process.pid, number))
        if heard:
            attempt.warned_at = boottime()
        log.info("attempt.warned job=%s signal=%d processes=%d", attempt.order.id, number, heard)

    def end_all(self, why: str) -> None:
        """The node leaves now. Unless its time is over, a jobfile that handles a warning gets a part of what is left."""
        for attempt in self._node.active():
            self._end(attempt, why)

    def _end(self, attempt: Attempt, why: str) -> None:
        left_s = 0.0 if why == "deadline" else self._rest_s(attempt)
        ended_for = "deadline" if why == "deadline" else "leave"
        grace_s = self._node.settings.term_grace_s
        if left_s > 0:
            attempt.warning = self._node.loop.after(left_s, lambda: self._closing.end(attempt, ended_for, grace_s))
        else:
            self._closing.end(attempt, ended_for, grace_s)

    def _rest_s(self, attempt: Attempt) -> float:
        """Of its grace, which begins now if it had not begun."""
        self._warn(attempt)
        if attempt.warned_at is None or attempt.state is not State.RUNNING or attempt.ended_for is not None:
            return 0.0
        if attempt.warning is not None:
            attempt.warning.cancel()
        rest_s = attempt.warned_at + attempt.order.grace_s - boottime()
        return min(rest_s, self._node.settings.leave_timeout_s * _WARNED_PART)
