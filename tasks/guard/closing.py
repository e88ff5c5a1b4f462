"""The end of an attempt: asked for or its own, down to the last process it left behind; then its record, then the worker is told."""

from collections.abc import Callable

from tasks.guard import freezing, log, protocol
from tasks.guard.attempt import Attempt, State
from tasks.guard.clock import boottime
from tasks.guard.node import Node
from tasks.guard.process_tree import Levels
from tasks.guard.scribe import Scribe

#: `exec > >(tee log)` and the like write their last lines after the jobfile's exit; daemons do not go by themselves.
LINGER_S = 0.5
#: A process that has SIGKILL pending and is not gone after this time is blocked in the kernel: it will run nothing any more.
KILL_WAIT_S = 5.0


class Closing:
    """Ends attempts and sees them off."""

    def __init__(self, node: Node, scribe: Scribe) -> None:
        self._node = node
        self._scribe = scribe

    def end(self, attempt: Attempt, why: str, grace_s: float) -> None:
        """SIGTERM, and SIGKILL after `grace_s`. What stands still is not woken for that: it may be running elsewhere."""
        if not attempt.is_active:
            return
        if attempt.exited is None:
            attempt.ended_for = attempt.ended_for or why
        if grace_s <= 0 or attempt.state is not State.RUNNING:
            self.kill(attempt)
            return
        self._kill_later(attempt, grace_s)
        asked = freezing.ask_to_end(self._node.look(attempt))
        log.info("attempt.asked_to_end job=%s why=%s processes=%d", attempt.order.id, why, asked)

    def _kill_later(self, attempt: Attempt, seconds: float) -> None:
        self._plan(attempt, seconds, lambda: self.kill(attempt))

    def _plan(self, attempt: Attempt, seconds: float, call: Callable[[], None]) -> None:
        if attempt.closing is not None:
            attempt.closing.cancel()
        attempt.closing = self._node.loop.after(seconds, call)

    def kill(self, attempt: Attempt) -> None:
        """SIGKILL to every process of it."""
        attempt.killed = True
        killed = freezing.kill(self._node.look(attempt))
        if attempt.exited is not None and attempt.ended_for is None:
            attempt.escaped += killed
            log.warning("attempt.escaped job=%s attempt=%d processes=%d", attempt.order.id, attempt.order.attempt, killed)
        self._plan(attempt, KILL_WAIT_S, lambda: self._stop_waiting(attempt))

    def _stop_waiting(self, attempt: Attempt) -> None:
        log.error("attempt.blocked_in_kernel job=%s attempt=%d", attempt.order.id, attempt.order.attempt)
        if attempt.state is not State.CLOSING:
            self._node.abandon(attempt)
            attempt.move(State.CLOSING)
        self._conclude(attempt)

    def root_exited(self, attempt: Attempt, status: int) -> None:
        """The jobfile itself was reaped; `review` looks at what it left."""
        attempt.status, attempt.exited = status, boottime()
        self._node.tree.roots.pop(attempt.pid, None)
        stood_still = attempt.state is State.FROZEN
        attempt.freeze_ended()
        attempt.move(State.CLOSING)
        if stood_still and not attempt.killed:
            self.kill(attempt)

    def review(self) -> None:
        """Conclude what has no process left; give the rest a moment, then end it. At most one look at /proc for all."""
        closing = [a for a in self._node.attempts.values() if a.state is State.CLOSING]
        if not closing:
            return
        sighting = None if self._node.tree.has_no_orphans() else self._node.tree.look()
        for attempt in closing:
            self._review(attempt, [] if sighting is None else sighting.of(attempt.token))

    def _review(self, attempt: Attempt, left: Levels) -> None:
        if not any(left):
            self._conclude(attempt)
        elif attempt.closing is None:
            self._kill_later(attempt, LINGER_S)

    def _conclude(self, attempt: Attempt) -> None:
        attempt.disarm()
        attempt.conclude()
        attempt.move(State.RECORDING)
        self._node.tree.drop(attempt.pid)
        self._node.shares.give_back(attempt.cpus)
        errand = {
            "record": attempt.order.record,
            "body": attempt.record_body(),
            "stderr": attempt.order.stderr,
            "tmpdir": attempt.tmpdir,
        }
        self._scribe.close(errand, lambda recorded: self._recorded(attempt, recorded), timeout_s=self._patience_s())

    def _patience_s(self) -> float:
        """For its record; a worker that leaves must hear of the end while it can still hand back."""
        settings = self._node.settings
        return min(settings.record_timeout_s, settings.leave_timeout_s / 4) if self._node.leaving else settings.record_timeout_s

    def _recorded(self, attempt: Attempt, recorded: bool) -> None:
        ending = attempt.note_recorded(recorded)
        attempt.move(State.ENDED)
        self._node.send(protocol.ENDED, {"token": attempt.token, **ending.to_message()})
