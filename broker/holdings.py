"""What one worker holds: its claims, how far each has come, and the room left on its node. Values behind one lock; no connection.

The kombu transport adds claims and says when Celery has acknowledged them; the task body says what runs and how it ended; the renewer
keeps the leases and settles. Only here do the three meet.
"""

import contextlib
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from broker.claim import Claim, parse_claim, text
from broker.holding import LOST, NO_OUTCOME, UNFIT_S, Asker, Conclusion, HandBack, Holding, NodeLimits, boottime, room_beside
from broker.lease import Held, Phase, Room, new_token


@dataclass
class Holdings:
    """The claims of one worker process."""

    limits: NodeLimits
    #: Called, from any thread, when there is something for the renewer to do.
    on_change: Callable[[], None] = lambda: None
    _held: dict[str, Holding] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _token: str = field(default_factory=new_token)
    _draining: bool = False
    _not_before: float = 0.0
    _busy_until: float = field(default_factory=time.monotonic)
    #: When Celery's event loop last asked whether it may claim, which it does at each turn.
    last_turn: float = field(default_factory=time.monotonic)
    #: The broker's word that this node is to claim nothing more ('drain', 'bad') and its reason; None: it may.
    told: tuple[str, str] | None = None
    #: Claims to be delivered to Celery before it asks for another: an earlier worker's of this node (LEASES rule 16), or the renewer's.
    adopted: deque[Claim] = field(default_factory=deque)
    _asker: Asker | None = None

    def __post_init__(self) -> None:
        self._settled = threading.Condition(self._lock)
        self.wake_fd, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    # -- claiming -------------------------------------------------------------------------------------------------------------------

    @property
    def token(self) -> str:
        """The token of the next claim; the same one until a claim is answered, whatever channel asks."""
        return self._token

    def room(self, ending: Collection[str] = ()) -> Room:
        """What the node has left, or will have when `ending` (tokens) are settled."""
        with self._lock:
            return room_beside(self.limits, [h.claim for h in self._unsettled() if h.claim.token not in ending])

    def _unsettled(self) -> list[Holding]:
        # Room is made by the settle: else a slow broker hears of five failures, and pauses the campaign, when ten more have failed.
        return [h for h in self._held.values() if not h.settled]

    def _occupying(self) -> list[Holding]:
        return [h for h in self._held.values() if h.conclusion is None]

    def may_claim(self) -> bool:
        """Whether Celery may have another jobfile now."""
        self.last_turn = time.monotonic()
        return bool(self.adopted) or self._has_room()

    def ask(self, asker: Asker, ending: Collection[str] = ()) -> Room | None:
        """Take the turn to claim under `token`, with `ending` settled in the same packet; None: not now. `asked` gives it back.

        Two claims under one token get one jobfile: so the renewer asks only if the loop does not. The loop, whose connection may end
        while it asks, need not give its turn back.
        """
        with self._lock:
            if self._asker is Asker.RENEWER or (asker is Asker.RENEWER and self._asker) or not self._has_room(ending):
                return None
            self._asker = asker
        return self.room(ending)

    def asked(self, asker: Asker) -> None:
        with self._lock:
            if self._asker is asker:
                self._asker = None

    def answer(self, reply: Sequence[Any], sent: float) -> Claim | None:
        """The server's answer to a claim that was asked at `sent` (CLOCK_BOOTTIME); None if it gave nothing."""
        claim = parse_claim(reply, self.token)
        word = text(reply[0])
        if claim is not None:
            self.add(claim, sent)
        elif word == "unfit":
            self.nothing_fits(UNFIT_S)
        elif word in ("drain", "bad"):
            self.stop_claiming(word, text(reply[1]))
        return claim

    def _has_room(self, ending: Collection[str] = ()) -> bool:
        now = boottime()
        with self._lock:
            occupied = sum(h.claim.token not in ending for h in self._unsettled())
            if any(h.deadline <= now for h in self._occupying()):
                # It stands still and may wait again: until the renewer knows, a claim might take it away from its own frozen copy.
                return False
        return not self._draining and self.told is None and occupied < self.limits.slots and time.monotonic() >= self._not_before

    def nothing_fits(self, wait_s: float) -> None:
        """Something waits, but not for this node now: ask again after about `wait_s`, or as soon as room is made."""
        self._not_before = time.monotonic() + wait_s * random.uniform(0.5, 1.0)

    def add(self, claim: Claim, sent: float) -> None:
        """A claim was answered; `sent` is the CLOCK_BOOTTIME at which it was asked."""
        with self._lock:
            self._held[claim.token] = Holding(claim=claim, deadline=sent + claim.safe_s, since=boottime())
            self._token = new_token()

    def adopt(self, claim: Claim, started: float | None) -> None:
        """A claim that an earlier worker of this node left behind; its deadline is the guard's until the next renewal."""
        with self._lock:
            self._held[claim.token] = Holding(claim=claim, deadline=boottime(), since=boottime(), started=started)
            self.adopted.append(claim)
        self.on_change()

    def drain(self) -> None:
        """Claim nothing any more."""
        self._draining = True
        self.wake()

    def stop_claiming(self, word: str, reason: str) -> None:
        """The broker's word at a claim or a renewal: what runs here goes on, and nothing more is claimed until it says otherwise."""
        self.told = (word, reason)
        self.wake()

    def claim_again(self) -> None:
        """A renewal did not say so any more: a bad node was forgiven."""
        if self.told is not None:
            self.told = None
            self.wake()

    @property
    def draining(self) -> bool:
        return self._draining

    # -- the task body --------------------------------------------------------------------------------------------------------------

    def begin(self, token: str) -> Claim:
        """The task body has the claim in its hands now."""
        with self._lock:
            self._held[token].begun = True
            return self._held[token].claim

    def give_back_strays(self, after_s: float) -> list[str]:
        """Hand back what Celery was given and has not begun for so long: it runs nowhere (LEASES rule 17). Returns their names."""
        oldest = boottime() - after_s
        with self._lock:
            strays = [h.claim for h in self._occupying() if not h.begun and h.started is None and h.since < oldest]
        for claim in strays:
            self.conclude(claim.token, HandBack(free=True, reason="handed back: the worker has lost sight of it"))
        return [claim.path for claim in strays]

    def started(self, token: str, at: float) -> None:
        with self._lock:
            if token in self._held:
                self._held[token].started = at

    def conclude(self, token: str, conclusion: Conclusion) -> None:
        """How it ended here; no process of it is left.

        The renewer settles it from now on. Celery's acknowledgement follows when its event loop comes to it, which stands still while
        the broker is away; it changes nothing any more.
        """
        with self._lock:
            holding = self._held.get(token)
            if holding is None or holding.conclusion is not None:
                return
            holding.conclusion = conclusion
            self._busy_until = time.monotonic()
        self.on_change()

    def is_concluded(self, token: str) -> bool:
        """Whether there is nothing left to do for it here, because it ended or was lost."""
        with self._lock:
            holding = self._held.get(token)
            return holding is None or holding.conclusion is not None

    def wait_settled(self, token: str) -> None:
        """Return when the broker has the claim's conclusion; for the rare case that something must wait for that."""
        with self._settled:
            self._settled.wait_for(lambda: token not in self._held or self._held[token].settled)

    def wait_change(self, timeout_s: float) -> None:
        """Return when a claim was settled, or after `timeout_s`."""
        with self._settled:
            self._settled.wait(timeout_s)

    # -- Celery's word --------------------------------------------------------------------------------------------------------------

    def holds(self, token: str) -> bool:
        with self._lock:
            return token in self._held

    def acknowledge(self, token: str) -> None:
        """Celery is through with the message. Without a conclusion that is its word alone, and no outcome (LEASES rule 17)."""
        self.conclude(token, NO_OUTCOME)
        with self._lock:
            holding = self._held.get(token)
            if holding is not None:
                holding.acknowledged = True
                self._let_go(token, holding)

    def reject(self, token: str, requeue: bool) -> None:
        """Celery gives a message back (requeue), or drops it, which is an acknowledgement without an outcome."""
        if requeue:
            self.conclude(token, HandBack(free=True, reason="returned by the worker before it was started"))
        self.acknowledge(token)

    def _let_go(self, token: str, holding: Holding) -> None:
        # Remembered until both have happened, so that a late acknowledgement finds that the message is a lease.
        if holding.settled and holding.acknowledged:
            self._held.pop(token, None)

    # -- the renewer ----------------------------------------------------------------------------------------------------------------

    def to_settle(self) -> list[Holding]:
        with self._lock:
            return [h for h in self._held.values() if h.conclusion is not None and not h.settled]

    def to_renew(self) -> list[Held]:
        """Every claim that is not settled yet: it is renewed until then, not until its process ends (LEASES rule 18)."""
        now = boottime()
        with self._lock:
            return [
                Held(
                    job_id=h.claim.job_id,
                    token=h.claim.token,
                    phase=Phase.HELD if h.started is None else Phase.RUNNING,
                    age_s=0.0 if h.started is None else now - h.started,
                )
                for h in self._held.values()
                if not h.settled
            ]

    def extend(self, token: str, deadline: float) -> bool:
        """Note a new deadline; whether the claim is one whose processes may be running."""
        with self._lock:
            holding = self._held.get(token)
            if holding is None:
                return False
            holding.deadline = max(holding.deadline, deadline)
            return holding.conclusion is None

    def run_on(self, until: float) -> list[str]:
        """Note that what runs may run until then, though the broker is silent; the claims that this gives more time.

        What has passed its deadline gains nothing: it stands still, and may have been somebody else's before the silence.
        """
        now = boottime()
        with self._lock:
            gains = [t for t, h in self._held.items() if h.conclusion is None and h.started is not None and now < h.deadline < until]
            for token in gains:
                self._held[token].deadline = until
            return gains

    def deadline(self, token: str) -> float | None:
        with self._lock:
            holding = self._held.get(token)
            return None if holding is None else holding.deadline

    def mark_cancelled(self, token: str) -> bool:
        """Whether this is news."""
        with self._lock:
            holding = self._held.get(token)
            if holding is None or holding.cancelled or holding.conclusion is not None:
                return False
            holding.cancelled = True
            return True

    def lose(self, token: str) -> None:
        """The claim is somebody else's: there is nothing to settle, whatever its task body still says of it."""
        with self._lock:
            holding = self._held.get(token)
            if holding is None:
                return
            if holding.conclusion is None:
                holding.conclusion, self._busy_until = LOST, time.monotonic()
        self.settle(token)

    def settle(self, *tokens: str, reply: Sequence[Any] | None = None, sent: float = 0.0) -> None:
        """The broker has their conclusions, or refused them for good: there is room.

        `reply` is the answer to the claim that went with them at `sent` (CLOCK_BOOTTIME), if one did.
        """
        with self._lock:
            for token in tokens:
                if (holding := self._held.get(token)) is not None:
                    holding.settled = True
                    self._let_go(token, holding)
            self._settled.notify_all()
            self._not_before = 0.0
            if reply is not None and (claim := self.answer(reply, sent)) is not None:
                self.adopted.append(claim)
            self.asked(Asker.RENEWER)
        self.wake()

    def __json__(self) -> str:
        """`celery inspect stats` sends the transport's options around."""
        return f"{self.running} of {self.limits.slots}"

    # -- the rest -------------------------------------------------------------------------------------------------------------------

    @property
    def open_claims(self) -> int:
        """Claims that the broker has no end of yet."""
        with self._lock:
            return sum(not h.settled for h in self._held.values())

    @property
    def running(self) -> int:
        with self._lock:
            return len(self._occupying())

    @property
    def idle_s(self) -> float:
        """For how long nothing has run here."""
        with self._lock:
            return 0.0 if self._occupying() else time.monotonic() - self._busy_until

    def wake(self) -> None:
        """Make the event loop look again: it may sleep for a second otherwise."""
        # A full pipe wakes just as well.
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"x")

    def drain_wakes(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self.wake_fd, 4096):
                pass
