"""The renewer: a worker's thread that keeps its leases and settles its claims, whatever Celery's event loop is doing.

It has a connection of its own. While the broker cannot be reached it keeps everything and tries again; nothing is lost by that, and no
running jobfile is ended for it.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from broker.claim import Claim
from broker.errors import Unreachable
from broker.holding import Asker, HandBack, Holding, boottime
from broker.holdings import Holdings
from broker.lease import Held, Holder, Leases, Outcome, Renewal, Word, claim_arguments

log = logging.getLogger(__name__)

#: A claim is renewed this often within its safe time: 40 s of 240 s.
RENEWALS_PER_SAFE_TIME = 6
#: Until a first answer has told the safe time.
_FIRST_RENEWAL_S = 2.0
#: How soon the ledger hears of a start.
_TELL_S = 1.0
_RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)


class Watcher(Protocol):
    """Who must hear what the broker says of a claim; called in the renewer's thread, must not block."""

    def extended(self, token: str, deadline: float) -> None:
        """Its processes may run until this CLOCK_BOOTTIME without further word."""

    def taken_back(self, token: str, deadline: float) -> None:
        """Its lease had run out, and it is ours again."""

    def lost(self, token: str) -> None:
        """Somebody else has it: end every process of it here."""

    def cancelled(self, token: str) -> None:
        """Its user wants it ended."""

    def settled(self, token: str) -> None:
        """The broker has its outcome, or refused it for good: nothing of it needs keeping."""

    def contact(self, counter: int, fresh_s: float) -> None:
        """The broker has answered, with its last beat's counter and for how long a beat lets it act."""

    def silence(self) -> None:
        """The broker could not be reached, or refused to act."""


@dataclass
class Renewer:
    """One per worker process. `run_once` is the loop's body, so that tests need no time."""

    holdings: Holdings
    holder: Holder
    watcher: Watcher
    #: Opens a connection; reads the address file anew each time.
    connect: Callable[[], Leases]
    #: What `nunatak workers` shows of this worker.
    describe: Callable[[], Mapping[str, object]]

    def __post_init__(self) -> None:
        self._leases: Leases | None = None
        self._wake = threading.Event()
        self._stopping = False
        self._failures = 0
        self._retry_at = 0.0
        self._renew_at = 0.0
        self._every_s = _FIRST_RENEWAL_S
        #: Monotonic time of the last answer.
        self.last_contact = time.monotonic()
        self.thread = threading.Thread(target=self._run, name="renewer", daemon=True)
        self.holdings.on_change = self._wake.set

    def start(self) -> None:
        self.thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Settle what is left, say goodbye, and end; False if the broker did not take it in time."""
        self._stopping = True
        self._wake.set()
        self.thread.join(timeout_s)
        return not self.thread.is_alive() and not self.holdings.to_settle()

    def hurry(self) -> None:
        """Renew now: a claim's answer came late."""
        self._renew_at = 0.0
        self._wake.set()

    def soon(self) -> None:
        """Something has started: say so within a second. What ends before that says so itself when it is settled."""
        soon = time.monotonic() + _TELL_S
        if self._renew_at > soon:
            self._renew_at = soon
            self._wake.set()

    # -- the loop -------------------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._wake.wait(self._pause_s())
            self._wake.clear()
            self.run_once()
            if self._stopping and (self._failures or not self.holdings.to_settle()):
                break
        self._say_goodbye()

    def _pause_s(self) -> float:
        now = time.monotonic()
        due = max(self._retry_at, now) if self.holdings.to_settle() else self._renew_at
        return max(0.0, max(due, self._retry_at) - now)

    def run_once(self) -> None:
        """Settle what has ended, renew if it is time."""
        if time.monotonic() < self._retry_at and not self._stopping:
            return
        try:
            leases = self._leases = self._leases or self.connect()
            if ended := self.holdings.to_settle():
                self._settle_all(leases, ended)
                self._note_contact()
            if time.monotonic() >= self._renew_at:
                self._renew(leases)
                self._note_contact()
        except Unreachable as error:
            self._note_failure(error)

    def _note_contact(self) -> None:
        if self._failures:
            log.info("renewer.contact after_failures=%d", self._failures)
        self._failures, self._retry_at = 0, 0.0
        self.last_contact = time.monotonic()

    def _note_failure(self, error: Unreachable) -> None:
        if not self._failures:
            log.warning("renewer.unreachable held=%d error=%s", self.holdings.open_claims, error)
        self.watcher.silence()
        self._failures += 1
        self._leases = None
        self._retry_at = time.monotonic() + _RETRY_S[min(self._failures, len(_RETRY_S)) - 1]

    def _say_goodbye(self) -> None:
        try:
            if self._leases is not None and not self.holdings.open_claims:
                self._leases.scripts.leave(self.holder.worker)
        except Unreachable as error:
            log.warning("renewer.goodbye_unheard error=%s", error)

    # -- settling -------------------------------------------------------------------------------------------------------------------

    def _settle_all(self, leases: Leases, ended: list[Holding]) -> None:
        for holding in ended:
            if isinstance(holding.conclusion, HandBack):
                self._hand_back(leases, holding.claim, holding.conclusion)
        outcomes = [(h.claim, h.conclusion) for h in ended if isinstance(h.conclusion, Outcome)]
        if outcomes:
            self._settle(leases, outcomes)

    def _hand_back(self, leases: Leases, claim: Claim, why: HandBack) -> None:
        accepted = leases.give_back(claim.job_id, claim.token, free=why.free, reason=why.reason, elapsed_s=why.elapsed_s)
        _note_settled(claim, "handed_back", accepted, "queued")
        self.holdings.settle(claim.token)
        self.watcher.settled(claim.token)

    def _settle(self, leases: Leases, outcomes: list[tuple[Claim, Outcome]]) -> None:
        """And ask for the next jobfile in the same packet: one wait for the broker, and one for its disk."""
        tokens = [claim.token for claim, _ in outcomes]
        room = self.holdings.ask(Asker.RENEWER, tokens)
        try:
            sent = boottime()
            ask = () if room is None else claim_arguments(self.holdings.token, self.holder, room)
            words, reply = leases.settle_all([(claim.job_id, claim.token, outcome) for claim, outcome in outcomes], ask)
            for (claim, outcome), word in zip(outcomes, words, strict=True):
                _note_settled(claim, outcome.verdict, word.accepted, word.state)
            self.holdings.settle(*tokens, reply=reply, sent=sent)
        finally:
            self.holdings.asked(Asker.RENEWER)
        for token in tokens:
            self.watcher.settled(token)

    # -- renewing -------------------------------------------------------------------------------------------------------------------

    def _renew(self, leases: Leases) -> None:
        held = self.holdings.to_renew()
        sent = boottime()
        holder = self.holder
        renewal = leases.renew(holder.worker, json.dumps(dict(self.describe())), held, node=holder.node, block=holder.block)
        self._every_s = renewal.safe_s / RENEWALS_PER_SAFE_TIME
        self._renew_at = time.monotonic() + self._every_s
        if renewal.told is not None:
            self.holdings.stop_claiming(*renewal.told)
        else:
            self.holdings.claim_again()
        self.watcher.contact(renewal.counter, renewal.fresh_s)
        # What waits is taken back first: a loss makes room, and the next claim might get just that jobfile, away from its own frozen copy.
        for claim, word in sorted(zip(held, renewal.words, strict=True), key=lambda pair: pair[1] is not Word.WAITING):
            self._obey(leases, claim, word, sent, renewal)
        self.holdings.wake()

    def _obey(self, leases: Leases, held: Held, word: Word, sent: float, renewal: Renewal) -> None:
        token = held.token
        if word is Word.WAITING:
            safe_s = leases.take_back(held.job_id, token)
            if safe_s is None:
                word = Word.LOST
            else:
                log.warning("lease.taken_back job=%s", held.job_id)
                if self.holdings.extend(token, sent + safe_s):
                    self.watcher.taken_back(token, sent + safe_s)
                return
        if word in (Word.RENEWED, Word.CANCEL):
            if self.holdings.extend(token, sent + renewal.safe_s):
                self.watcher.extended(token, sent + renewal.safe_s)
            if word is Word.CANCEL and self.holdings.mark_cancelled(token):
                log.info("lease.cancel_asked job=%s", held.job_id)
                self.watcher.cancelled(token)
        elif word is Word.LOST:
            log.error("lease.lost job=%s", held.job_id)
            self._lose(token)
        # SETTLED: an answer that we missed; the next settle of it hears the same and drops it.

    def _lose(self, token: str) -> None:
        self.holdings.lose(token)
        self.watcher.lost(token)


def _note_settled(claim: Claim, verdict: str, accepted: bool, state: str) -> None:
    if accepted:
        log.info("lease.settled jobfile=%s attempt=%d verdict=%s state=%s", claim.path, claim.attempt, verdict, state)
    else:
        log.error("lease.refused jobfile=%s attempt=%d verdict=%s state=%s", claim.path, claim.attempt, verdict, state)
