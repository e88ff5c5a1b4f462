"""One worker process of a simulated node: the real Holdings, Renewer, GuardWatcher and StillnessWatch, with the broker's answers apart.

Its threads are fibers: the renewer's and the claimer's wait for answers; the others take no time.
"""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from schedule_clock import Fiber, Wake

from broker.claim import Claim
from broker.errors import Unreachable
from broker.holding import Asker, HandBack, NodeLimits
from broker.holdings import Holdings
from broker.lease import Leases, Outcome, Room
from broker.renewer import Renewer
from broker.scripts import Scripts
from broker.stillness import Look
from tasks.worker import GuardWatcher, NodeWorker

if TYPE_CHECKING:
    from schedule_node import Node
    from schedule_server import Epoch

_SETTLED = Outcome(verdict="done", reason="its outputs are there", exit_code=0)
_FAILED = Outcome(verdict="failed", reason="exit 1", exit_code=1, counts_as_failure=True, retry=True)


class LateRenewer(Renewer):
    """Counts deadlines from the answer: LEASES rule 10 left out."""

    def _obey(self, leases: Any, held: Any, word: Any, sent: float, renewal: Any) -> None:  # noqa: ARG002
        super()._obey(leases, held, word, self.node.world.clock.now, renewal)

    node: "Node"


class Line:
    """In the place of a Redis client."""

    def __init__(self, worker: "Worker", fiber: Fiber, epoch: "Epoch") -> None:
        self._worker, self._fiber, self._epoch = worker, fiber, epoch
        self.info, self.script_load = epoch.database.info, epoch.database.script_load

    def evalsha(self, sha: str, _keys: int, *args: object) -> Any:
        reply = self._worker.node.wire.ask(self._worker, self._fiber, self._epoch, sha, args)
        if isinstance(reply, list) and reply[0] == "settled":
            self._worker.world.was_told_settled(args[1], args[2])
        return reply


class Asked(Scripts):
    """Each script by itself: whatever may happen between two may happen here within one packet."""

    def together(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        return [self._call(verb, *args) for verb, args in calls]


class Worker:
    def __init__(self, node: "Node") -> None:
        self.node, self.world = node, node.world
        self.clock, self.dice = node.world.clock, node.world.dice
        self.alive = True
        self.holdings = Holdings(NodeLimits(slots=node.slots), _token=f"t{node.world.dice.getrandbits(32):08x}")
        self.watcher = GuardWatcher(node.guard, self.holdings, node, node.name)  # type: ignore[arg-type]
        renewer = Renewer if self.world.rules.absolute else LateRenewer
        self._fibers = [self.world.fibers.take(), self.world.fibers.take()]
        self.renewer = renewer(self.holdings, node.holder, self.watcher, partial(self._connect, self._fibers[0]), dict)
        self.renewer.node = node  # type: ignore[attr-defined]
        self._busy = [False, False]
        self._timer = 0
        self._looking = False
        self._seen: Look | OSError = OSError()
        self._claims: Leases | None = None
        self.renewer._wake = Wake(lambda: self._soon(self._renew))  # type: ignore[assignment]
        self.holdings.on_change = self.renewer._wake.set
        self.stillness = self.watcher.stillness
        self.stillness._wake = Wake(lambda: self._soon(self._look))  # type: ignore[assignment]
        NodeWorker._adopt(self, node.guard.welcome())  # type: ignore[arg-type]
        self._soon(self._renew)
        self._soon(self._claim)

    def die(self) -> None:
        self.alive = False
        for fiber in self._fibers:
            self.world.fibers.give_back(fiber)
        os.close(self.holdings.wake_fd)
        os.close(self.holdings._wake_write)

    def _soon(self, step: Callable[[], object]) -> None:
        self.after(0.0, step)

    def after(self, seconds: float, step: Callable[[], object]) -> None:
        self.clock.after(seconds, lambda: self.node.when_running(self, step))

    # -- the broker -----------------------------------------------------------------------------------------------------------------

    def _connect(self, fiber: Fiber) -> Leases:
        epoch = self.node.wire.reach(self, fiber)
        if epoch is None:
            raise Unreachable("nobody answers")
        return Leases(Asked(Line(self, fiber, epoch)))  # type: ignore[arg-type]

    # -- the renewer ----------------------------------------------------------------------------------------------------------------

    def _renew(self) -> None:
        if self._busy[0]:
            return
        self._busy[0] = True
        self.renewer._wake.clear()
        self._fibers[0].run(self._renew_once)

    def _renew_once(self) -> None:
        self.renewer.run_once()
        self._busy[0] = False
        self._timer += 1
        timer = self._timer
        pause_s = 0.0 if self.renewer._wake.is_set() else self.renewer._pause_s()
        self.after(pause_s, lambda: self._renew() if timer == self._timer else None)

    # -- the claimer, and task bodies ---------------------------------------------------------------------------------------------------

    def _claim(self) -> None:
        self.after(self.dice.uniform(2, 60), self._claim)
        if self._busy[1] or not self.holdings.may_claim():
            return
        if self.holdings.adopted:
            self._deliver(self.holdings.adopted.popleft())
            self._soon(self._claim)
            return
        self._busy[1] = True
        self._fibers[1].run(self._claim_once)

    def _claim_once(self) -> None:
        try:
            self._claims = self._claims or self._connect(self._fibers[1])
            room = self.holdings.ask(Asker.LOOP)
            if room is not None:
                self._ask(self._claims, room)
        except Unreachable:
            self._claims = None
        self.holdings.asked(Asker.LOOP)
        self._busy[1] = False

    def _ask(self, claims: Leases, room: Room) -> None:
        token, sent = self.holdings.token, self.clock.now
        claim = claims.claim(token, self.node.holder, room)
        if claim is not None:
            self.holdings.add(claim, sent if self.world.rules.absolute else self.clock.now)
            self._soon(partial(self._begin, claim))
            self._soon(self.node.claimed)

    def _deliver(self, claim: Claim) -> None:
        """What an earlier worker left behind, or what the renewer was given."""
        if claim.token in self.node.guard.attempts:
            self._attach(claim)
        else:
            self._soon(partial(self._begin, claim))
            self._soon(self.node.claimed)

    def _begin(self, claim: Claim) -> None:
        self.world.note("claimed", self.node.name, claim.token)
        self.holdings.begin(claim.token)
        look_s = self.dice.uniform(0, 3) if self.dice.random() < 0.9 else self.dice.uniform(50, 500)
        self.after(look_s, partial(self._start, claim))

    def _start(self, claim: Claim) -> None:
        """As tasks.run.Runner does it."""
        deadline = self.holdings.deadline(claim.token)
        if deadline is None or self.holdings.is_concluded(claim.token):
            self._conclude(claim, HandBack(free=False, reason="lost"))
        elif deadline - self.clock.now <= 1.0:
            self.renewer.hurry()
            self.after(0.5, partial(self._start, claim))
        elif self.node.guard.start(claim, deadline, self.world.work_s()):
            self.holdings.started(claim.token, self.clock.now)
            self.renewer.soon()
        else:
            self._conclude(claim, HandBack(free=True, reason="its lease was about to end"))

    def _attach(self, claim: Claim) -> None:
        self.holdings.begin(claim.token)
        if self.node.guard.attempts[claim.token].state == "ended":
            self.heard("ended", claim.token)

    def heard(self, what: str, token: str) -> None:
        """A message of the guard."""
        if what == "froze":
            self.watcher.froze(token, "deadline")
        elif what == "thawed":
            self.watcher.thawed(token)
        elif token in self.node.guard.attempts and self.holdings.holds(token):
            self.after(self.dice.uniform(0, 2), partial(self._ended, token))

    def _ended(self, token: str) -> None:
        attempt = self.node.guard.attempts.get(token)
        if attempt is None:
            return
        elapsed_s = self.clock.now - attempt.started
        if attempt.ended == "end":
            outcome = _FAILED if self.dice.random() < 0.1 else _SETTLED
            self._conclude(attempt.claim, Outcome(**{**vars(outcome), "elapsed_s": elapsed_s}))
        else:
            self._conclude(attempt.claim, HandBack(free=attempt.ended == "leave", reason=attempt.ended, elapsed_s=elapsed_s))
        if attempt.ended == "lost":
            self.node.guard.forget(token)

    def _conclude(self, claim: Claim, conclusion: Outcome | HandBack) -> None:
        self.holdings.conclude(claim.token, conclusion)
        self.holdings.acknowledge(claim.token)

    # -- the stillness watch --------------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        if self._looking or self.stillness._fresh_s is None:
            return
        self._looking = True
        self.stillness._wake.clear()
        self.node.file.look(self, self._looked)

    def _looked(self, seen: Look | OSError) -> None:
        self._seen = seen
        assert self.stillness._fresh_s is not None
        self.stillness.run_once(self.stillness._fresh_s)
        self._looking = False
        pause_s = 0.0 if self.stillness._wake.is_set() else self.stillness._pause_s()
        if pause_s is not None:
            self.after(pause_s, self._look)

    def seen(self) -> Look:
        """In the place of `broker.stillness.look`."""
        if isinstance(self._seen, OSError):
            raise self._seen
        return self._seen
