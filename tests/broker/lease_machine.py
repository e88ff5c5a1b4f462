"""The lease verbs called in any order by users, workers and the supervisor, with lost answers, stepped clocks and a server that is killed.

This file: what workers do. lease_users.py: what users do. lease_world.py: time, the supervisor, the server, and what must hold.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from lease_records import HOLDERS, SAFE_MS
from lease_server import LeaseServer
from lease_users import UserRules
from lease_world import IDS, Hand

from broker.claim import parse_claim
from broker.lease import Held, Holder, Outcome, Phase, Room, claim_arguments

holders = st.sampled_from(HOLDERS)
rooms = st.sampled_from(("all", "all", "all", "slot", "short", "bound", "none"))
picks = st.integers(0, 3)
answers = st.sampled_from(("heard", "heard", "heard", "lost"))


class LeaseMachine(UserRules):
    def __init__(self, server: LeaseServer) -> None:
        super().__init__(server)
        #: Claims whose answers were lost.
        self.unanswered: list[tuple[str, Holder]] = []

    def hand(self, pick: int) -> Hand:
        """One of the latest."""
        return self.hands[-1 - pick % len(self.hands)]

    def age_s(self, hand: Hand) -> float:
        return (self.now_ms - hand.started_ms) / 1000 if hand.started else 0.0

    def room(self, kind: str) -> Room:
        numbers = [c.number for c in self.model.campaigns.values()]
        free = {"slot": 0.25, "none": 0.1}.get(kind, 1.0)
        bound = (numbers[0],) if kind == "bound" and numbers else ()
        return Room(free_share=free, slot_share=0.25, remaining_s=1800.0 if kind == "short" else None, campaigns=bound)

    # -- claiming -------------------------------------------------------------------------------------------------------------

    @rule(holder=holders, kind=rooms, times=st.integers(1, 3), answer=answers)
    def claim(self, holder: Holder, kind: str, times: int, answer: str) -> None:
        for _ in range(times):
            self._claim(self.next("t"), holder, kind, answer)

    @rule(holder=holders, then=st.sampled_from(("claim", "ask again", "start", "start", "done", "fail")))
    def a_worker_goes_on_as_it_should(self, holder: Holder, then: str) -> None:
        """The usual way, so that schedules get far: claim and start, renew, settle."""
        mine = [h for h in self.hands if h.holder is holder and not h.ended]
        if then in ("done", "fail") and mine:
            self._end(mine[-1], "done" if then == "done" else "failed", "exit 1", True, True)
            return
        token = self.next("t")
        if then == "ask again":
            self._claim(token, holder, "all", "lost")
            self.unanswered.pop()
        self._claim(token, holder, "all", "heard")
        if then == "start" and self.hands:
            self._start(self.hands[-1])
            self._renew(holder, "heard")

    @precondition(lambda self: self.unanswered)
    @rule(pick=picks, kind=rooms, answer=answers)
    def claim_with_the_token_of_a_lost_answer(self, pick: int, kind: str, answer: str) -> None:
        token, holder = self.unanswered.pop(-1 - pick % len(self.unanswered))
        self._claim(token, holder, kind, answer)

    def _claim(self, token: str, holder: Holder, kind: str, answer: str) -> None:
        room = self.room(kind)
        reply = self.ask(lambda: self.scripts.claim(*claim_arguments(token, holder, room)))
        got = None
        if reply is not None:
            got = parse_claim(reply, token)
            self._follow_claim(token, holder, room, str(reply[0]), None if got is None else got.job_id)
        if reply is None or answer == "lost":
            self.unanswered.append((token, holder))
        elif got is not None:
            job = self.model.jobs[got.job_id]
            assert got.attempt == job.attempt + (not job.started)
            assert got.safe_s * 1000 == SAFE_MS
            self.hands.append(Hand(token=token, holder=holder, job_id=got.job_id, attempt=got.attempt, deadline=self.now_ms + SAFE_MS))

    def _follow_claim(self, token: str, holder: Holder, room: Room, word: str, got: str | None) -> None:
        states = self.server.dump()
        quarantined = [i for i, j in self.model.jobs.items() if j.state == "queued" and states[f"job:{i}"]["state"] == "quarantined"]
        self.model.claimed(token, holder, room, word, got, quarantined)
        if word == "empty":
            waiting = [j for j in self.model.jobs.values() if j.state == "queued" and not self.model.campaign_of(j).is_paused_for_all]
            assert not waiting, f"'empty', although {waiting} wait"
            self.model.wakes = 0

    @rule()
    def an_idle_worker_hears_the_bell(self) -> None:
        if self.server.client.lpop("bell"):
            self.model.wakes = max(0, self.model.wakes - 1)

    # -- holding --------------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.hands)
    @rule(pick=picks)
    def start(self, pick: int) -> None:
        self._start(self.hand(pick))

    def _start(self, hand: Hand) -> None:
        """The guard checks the deadline before it starts anything."""
        if not hand.started and not hand.ended and self.now_ms < hand.deadline:
            hand.started, hand.started_ms = True, self.now_ms
            assert self.starts.setdefault((hand.job_id, hand.attempt), hand.token) == hand.token, "two starts have the same number"

    @rule(holder=holders, answer=answers)
    def renew(self, holder: Holder, answer: str) -> None:
        self._renew(holder, answer)

    def _renew(self, holder: Holder, answer: str) -> None:
        mine = [h for h in self.hands if h.holder is holder][-4:]
        held = [
            Held(job_id=h.job_id, token=h.token, phase=Phase.RUNNING if h.started else Phase.HELD, age_s=self.age_s(h)) for h in mine
        ]
        told = self.model.refusal(holder)
        renewal = self.ask(lambda: self.leases.renew(holder.worker, "{}", held, node=holder.node, block=holder.block))
        if renewal is None:
            return
        assert renewal.counter == self.counter
        assert (renewal.told[0] if renewal.told else "") == told
        for hand, word in zip(mine, renewal.words, strict=True):
            assert word.value in self.model.renew(hand.job_id, hand.token, hand.started, self.age_s(hand))
            if answer == "lost":
                continue
            if word.value in ("renewed", "cancel"):
                hand.deadline = self.now_ms + round(renewal.safe_s * 1000)
            elif word.value == "waiting":
                self._take_back(hand, answer)
            else:
                hand.ended = True

    @rule(answer=answers)
    def take_back_whatever_was_had_lately(self, answer: str) -> None:
        for hand in self.hands[-3:]:
            self._take_back(hand, answer)

    def _take_back(self, hand: Hand, answer: str) -> None:
        safe_s = self.ask(lambda: (self.leases.take_back(hand.job_id, hand.token),))
        if safe_s is None:
            return
        assert (safe_s[0] is not None) == self.model.take_back(hand.job_id, hand.token)
        if answer == "heard" and safe_s[0] is not None:
            hand.deadline = self.now_ms + round(safe_s[0] * 1000)

    @precondition(lambda self: self.hands)
    @rule(
        pick=picks,
        verdict=st.sampled_from(("done", "failed", "failed", "failed", "skipped", "cancelled")),
        reason=st.sampled_from(("exit 1", "exit 2")),
        counts=st.sampled_from((True, True, False)),
        retry=st.sampled_from((True, True, False)),
    )
    def settle(self, pick: int, verdict: str, reason: str, counts: bool, retry: bool) -> None:
        """An attempt ends once; calling this again for the same hand re-sends what was sent before."""
        hand = self.hand(pick)
        if hand.gave_back is None:
            self._end(hand, verdict, reason, counts, retry)

    def _end(self, hand: Hand, verdict: str, reason: str, counts: bool, retry: bool) -> None:
        hand.ended = True
        if hand.outcome is None:
            elapsed_s = self.age_s(hand) if hand.started else None
            hand.outcome = Outcome(verdict=verdict, reason=reason, elapsed_s=elapsed_s, counts_as_failure=counts, retry=retry)
        outcome = hand.outcome
        settled = self.ask(lambda: self.leases.settle(hand.job_id, hand.token, outcome))
        if settled is not None:
            words, state = self.model.settle(hand.job_id, hand.token, outcome)
            assert (settled.accepted, settled.state) in {(word == "settled", state) for word in words}

    @precondition(lambda self: self.hands)
    @rule(pick=picks, free=st.booleans())
    def give_back(self, pick: int, free: bool) -> None:
        hand = self.hand(pick)
        if hand.outcome is not None:
            return
        hand.ended = True
        if hand.gave_back is None:
            hand.gave_back = free, 1.0 if hand.started else None
        free, elapsed_s = hand.gave_back
        given = self.ask(lambda: (self.leases.give_back(hand.job_id, hand.token, free=free, reason="drain", elapsed_s=elapsed_s),))
        if given is not None:
            assert given[0] in self.model.give_back(hand.job_id, hand.token, free=free, started=elapsed_s is not None)

    @precondition(lambda self: self.hands)
    @rule(wanted=st.sampled_from(IDS), pick=picks, known=st.booleans())
    def a_stranger_tries_everything(self, wanted: str, pick: int, known: bool) -> None:
        """Also with a token that holds another jobfile."""
        token = self.hand(pick).token if known else "nobody"
        job = self.model.jobs.get(wanted)
        if job is not None and token in (job.token, job.last_token, *job.ended_tokens):
            return
        before = self.server.dump()
        verbs: tuple[Callable[[], Any], ...] = (
            lambda: self.leases.settle(wanted, token, Outcome(verdict="done", reason="", elapsed_s=1.0)).accepted,
            lambda: self.leases.give_back(wanted, token, free=False, reason="", elapsed_s=1.0),
            lambda: self.leases.take_back(wanted, token),
        )
        assert not any(self.ask(verb) for verb in verbs), "a stranger's call was accepted"
        assert self.server.dump() == before, "a stranger's call changed something"
