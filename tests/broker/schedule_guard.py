"""A simulated node's guard: it keeps each attempt's deadline and state whatever becomes of the worker, as tasks/guard/orders.py does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from schedule_clock import Clock

from broker.claim import Claim
from tasks.guard.protocol import Entry
from tasks.guard_client import Welcome


class Running(Protocol):
    """What a guard needs of the world."""

    clock: Clock

    def note(self, *words: object) -> None: ...
    def runs(self, job_id: str, node: str, token: str) -> None: ...
    def rests(self, job_id: str, token: str) -> None: ...


@dataclass(eq=False)
class Attempt:
    """A jobfile's processes."""

    claim: Claim
    deadline: float
    #: Seconds of running that it still needs.
    left_s: float
    started: float
    state: str = "frozen"
    #: Why it ended, 'end' if by itself.
    ended: str = ""
    ran_since: float = 0.0
    #: So that a timer that was set earlier means nothing.
    serial: int = 0


class Guard:
    """`tell` hands the worker a message; what is told while it hangs waits, what a dead one was told is lost."""

    def __init__(self, world: Running, node: str, tell: Callable[[str, str], None]) -> None:
        self._world, self._node, self._tell = world, node, tell
        self.attempts: dict[str, Attempt] = {}

    def start(self, claim: Claim, deadline: float, work_s: float) -> bool:
        """Whether it runs."""
        if self._is_over(deadline):
            return False
        attempt = Attempt(claim=claim, deadline=deadline, left_s=work_s, started=self._world.clock.now)
        self.attempts[claim.token] = attempt
        self._run(attempt)
        return True

    def _is_over(self, deadline: float) -> bool:
        return self._world.clock.now >= deadline

    def _run(self, attempt: Attempt) -> None:
        attempt.state, attempt.ran_since = "running", self._world.clock.now
        self._world.note("runs", self._node, attempt.claim.token, f"until {attempt.deadline:.1f}")
        self._world.runs(attempt.claim.job_id, self._node, attempt.claim.token)
        self._arm(attempt)

    def _rest(self, attempt: Attempt, state: str) -> None:
        if attempt.state == "running":
            attempt.left_s -= self._world.clock.now - attempt.ran_since
            self._world.note(state, self._node, attempt.claim.token)
        attempt.state = state
        attempt.serial += 1
        self._world.rests(attempt.claim.job_id, attempt.claim.token)

    def _arm(self, attempt: Attempt) -> None:
        attempt.serial += 1
        serial, end = attempt.serial, attempt.ran_since + attempt.left_s
        if attempt.deadline < end:
            self._world.clock.at(attempt.deadline, lambda: self._due(attempt, serial, self._freeze))
        else:
            self._world.clock.at(end, lambda: self._due(attempt, serial, self._finish))

    def _due(self, attempt: Attempt, serial: int, what: Callable[[Attempt], None]) -> None:
        if attempt.serial == serial and attempt.state == "running":
            what(attempt)

    def _freeze(self, attempt: Attempt) -> None:
        self._rest(attempt, "frozen")
        self._tell("froze", attempt.claim.token)

    def _finish(self, attempt: Attempt) -> None:
        attempt.ended = "end"
        self._rest(attempt, "ended")
        self._tell("ended", attempt.claim.token)

    def hurry(self, left_s: float) -> None:
        """What runs needs no longer than that."""
        for attempt in self.attempts.values():
            attempt.left_s = min(attempt.left_s, left_s + max(0.0, self._world.clock.now - attempt.ran_since))
            if attempt.state == "running":
                self._arm(attempt)

    def welcome(self) -> Welcome:
        """What a new worker is told of what runs."""
        running = [
            Entry(
                token=token, id=a.claim.job_id, attempt=a.claim.attempt, blob=a.claim.to_blob(), pid=1, started_boottime=a.started,
                state=a.state, deadline=a.deadline, record=None, ending=None,
            )
            for token, a in self.attempts.items()
        ]  # fmt: skip
        return Welcome(slots=1, node=self._node, block="b1", guard="1:1", running=tuple(running))

    # -- what GuardWatcher calls ----------------------------------------------------------------------------------------------------

    def extend(self, token: str, deadline: float) -> None:
        attempt = self.attempts.get(token)
        if attempt is not None:
            attempt.deadline = deadline
            if attempt.state == "running":
                self._arm(attempt)

    def thaw(self, token: str, deadline: float) -> None:
        attempt = self.attempts.get(token)
        if attempt is None:
            return
        if self._is_over(deadline):
            self._tell("froze", token)
            return
        self.extend(token, deadline)
        if attempt.state == "frozen":
            self._run(attempt)
        self._tell("thawed", token)

    def end(self, token: str, why: str, grace_s: float = 0.0) -> None:  # noqa: ARG002  (as GuardClient has it)
        attempt = self.attempts.get(token)
        if attempt is not None and attempt.state != "ended":
            attempt.ended = why
            self._rest(attempt, "ended")
            self._tell("ended", token)

    def forget(self, token: str) -> None:
        self.attempts.pop(token, None)

    def die(self) -> None:
        """With all its processes."""
        for attempt in self.attempts.values():
            self._rest(attempt, "gone")
        self.attempts.clear()
