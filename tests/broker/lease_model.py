"""What the lease verbs promise, as a small model in plain Python, written from the rules and not from the scripts.

Where the rules leave a choice (which of several jobfiles a claim gets) the model checks the server's choice and then follows it.
"""

from collections.abc import Sequence

from lease_nodes import NodeModel, is_quick, place_of
from lease_records import BAD_ENDS, ENDED, FRESH_MS, LEASE_MS, MARGIN_MS, QUICK_S, SETTINGS, Campaign, Job

from broker.lease import Holder, Outcome, Room


class Model(NodeModel):
    """All jobfiles, by id, and the beat."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, Job] = {}
        self.campaigns: dict[str, Campaign] = {}
        self.now = 1_000_000_000
        self.beat_at: int | None = None
        self.run_id = ""
        self.grace_until = 0
        #: Nodes whose leases ran out within the last minute.
        self.lost_nodes: dict[str, int] = {}
        #: Wake-ups that idle workers can still count on.
        self.wakes = 0

    def is_stale(self) -> bool:
        return self.beat_at is None or not 0 <= self.now - self.beat_at < FRESH_MS

    def beat(self, at: int, run_id: str, drift: bool) -> tuple[bool, int]:
        gap = self.beat_at is None or not 0 <= at - self.beat_at <= FRESH_MS or run_id != self.run_id or drift
        self.beat_at, self.run_id = at, run_id
        if gap:
            self.grace_until = at + LEASE_MS + MARGIN_MS
            for job in self.jobs.values():
                job.lease_end = min(job.lease_end, self.now + LEASE_MS)
        return gap, self.grace_until

    def campaign_of(self, job: Job) -> Campaign:
        return next(c for c in self.campaigns.values() if c.number == job.campaign)

    def ring(self) -> None:
        self.wakes += len(self.jobs)

    def _wait(self, job: Job) -> None:
        job.state = "queued"
        job.place = "suspect" if job.is_suspect else "lane"
        self.wakes += 1

    # -- users --------------------------------------------------------------------------------------------------------------------

    def enqueue_word(self, job_id: str, campaign: str, lane: str, outputs: str, again: bool) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "already_done" if outputs == "present" else "enqueued"
        if job.state not in ENDED:
            if job.campaign != campaign:
                return f"elsewhere {job.campaign}"
            return "changed" if job.state == "queued" and job.lane != lane else "already_queued"
        if again or (job.state == "done" and outputs == "absent"):
            return "enqueued"
        return "already_done" if outputs == "present" or job.state == "done" else "failed_before"

    def enqueue(self, job_id: str, campaign: str, lane: str, outputs: str, again: bool) -> str:
        word = self.enqueue_word(job_id, campaign, lane, outputs, again)
        job = self.jobs.get(job_id) or Job(campaign=campaign, lane=lane)
        if word == "enqueued":
            self.jobs[job_id] = job
            job.campaign, job.lane, job.skipped = campaign, lane, False
            job.forgive()
            self._wait(job)
        elif word == "changed":
            job.lane = lane
            self.wakes += 1
        elif word == "already_done" and (job_id not in self.jobs or job.state != "done"):
            self.jobs[job_id] = job
            job.campaign, job.lane, job.state, job.skipped = campaign, lane, "done", True
        return word

    def cancel(self, job_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "unknown"
        if job.state == "queued":
            job.state = "cancelled"
            return "cancelled"
        if job.state == "running":
            job.cancel = True
            return "asked"
        return "ended"

    def retry(self, job_id: str) -> str:
        job = self.jobs.get(job_id)
        if job is None:
            return "unknown"
        if job.state in BAD_ENDS:
            job.forgive()
            self._wait(job)
            return "queued"
        return {"queued": "waiting"}.get(job.state, job.state)

    def relane(self, job_id: str, lane: str) -> int:
        job = self.jobs.get(job_id)
        if job is None or job.lane == lane:
            return 0
        job.lane = lane
        self.wakes += job.state == "queued"
        return int(job.state == "queued")

    def forget(self, name: str) -> bool:
        """False: it has not ended."""
        campaign = self.campaigns.get(name)
        if campaign is None:
            return True
        mine = [i for i, j in self.jobs.items() if j.campaign == campaign.number]
        if any(self.jobs[i].state not in ENDED for i in mine):
            return False
        for i in mine:
            del self.jobs[i]
        self.forget_evidence(campaign.number)
        del self.campaigns[name]
        return True

    # -- claims -------------------------------------------------------------------------------------------------------------------

    def held_by(self, token: str) -> str | None:
        return next((i for i, j in self.jobs.items() if j.token == token), None)

    def fitting(self, room: Room, node: str) -> list[str]:
        """Waiting jobfiles that this room of a node could take; those lost too often among them."""

        def fits(job: Job) -> bool:
            share = 1 / job.per_node if job.per_node else room.slot_share
            return (
                job.state == "queued"
                and not self.campaign_of(job).is_paused_for(node)
                and (not room.campaigns or job.campaign in room.campaigns)
                and share <= room.free_share + 1e-9
                and (room.remaining_s is None or job.estimate_s <= room.remaining_s)
            )

        return [i for i, j in self.jobs.items() if fits(j)]

    def claimed(self, token: str, holder: Holder, room: Room, word: str, got: str | None, quarantined: Sequence[str]) -> None:
        """Check the server's choice, and follow it."""
        if (held := self.held_by(token)) is not None:
            assert got == held, f"the token holds {held}, and got {got}"
            self.jobs[held].lease_end = self.now + LEASE_MS
            return
        refusal = self.refusal(holder)
        assert (word if word in ("drain", "bad") else "") == refusal, f"{holder} was answered {word!r}, not {refusal!r}"
        if refusal:
            assert not quarantined
            return
        for job in self.jobs.values():
            if job.place == "returning" and job.until <= self.now:
                job.place = "lane"
        fitting = self.fitting(room, holder.node)
        lost_too_often = {i for i in fitting if self.jobs[i].losses >= SETTINGS.max_losses}
        good = [i for i in fitting if i not in lost_too_often]
        assert set(quarantined) <= lost_too_often, f"quarantined {quarantined}, lost too often are {lost_too_often}"
        for i in quarantined:
            self.jobs[i].state = "quarantined"
        choice = self._choice(good, room)
        if got is None:
            assert not choice, f"nothing was given out, but {choice} fit"
        else:
            assert got in choice, f"{got} was given out, and the choice was {choice} of {good}"
        if got is None or self.jobs[got].place != "suspect":
            assert set(quarantined) == lost_too_often, "it must have looked at all suspects"
        if got is not None:
            job = self.jobs[got]
            job.state, job.token, job.last_token, job.holder, job.loss_counted = "running", token, None, holder, False
            job.started, job.lease_end, job.deliveries = False, self.now + LEASE_MS, job.deliveries + 1
            job.outlived_at = None
            self.campaign_of(job).probe()

    def _choice(self, good: Sequence[str], room: Room) -> list[str]:
        """What a claim may give out: suspects to an empty node, then the first in rank, then what may still come back with its node."""
        places = {place: [i for i in good if self.jobs[i].place == place] for place in ("suspect", "lane", "returning")}
        if places["suspect"] and room.free_share >= 1:
            return places["suspect"]
        if places["lane"]:
            best = max(self.jobs[i].rank for i in places["lane"])
            return [i for i in places["lane"] if self.jobs[i].rank == best]
        return places["returning"]

    def renew(self, job_id: str, token: str, running: bool, age_s: float) -> set[str]:
        """The words that may be answered."""
        job = self.jobs.get(job_id)
        if job is None:
            return {"lost"}
        if job.token == token:
            job.lease_end = self.now + LEASE_MS
            if running:
                job.start(self.now - round(age_s * 1000))
            if running and age_s >= QUICK_S and (job.outlived_at is None or self.now - job.outlived_at >= 600_000):
                self.note_well(job_id, clears=job.outlived_at is None)
                job.outlived_at = self.now
            return {"cancel" if job.cancel else "renewed"}
        if job.ended_token == token:
            return {"settled"}
        if job.last_token == token and job.state == "queued":
            return {"waiting"}
        return {"settled", "lost"} if token in job.ended_tokens else {"lost"}

    def take_back(self, job_id: str, token: str) -> bool:
        job = self.jobs.get(job_id)
        if job is None or (job.token != token and not (job.last_token == token and job.state == "queued")):
            return False
        job.lease_end = self.now + LEASE_MS
        if job.token != token:
            job.state, job.token, job.last_token = "running", token, None
            job.forgive_loss()
            job.endings.pop(job.attempt, None)
        return True

    def settle(self, job_id: str, token: str, outcome: Outcome) -> tuple[set[str], str]:
        """The words that may be answered, and the state."""
        job = self.jobs.get(job_id)
        if job is None:
            return {"stranger"}, "forgotten"
        if job.ended_token == token:
            return {"settled"}, job.state
        if job.token != token and not (job.last_token == token and job.state == "queued"):
            return ({"settled", "stranger"} if token in job.ended_tokens else {"stranger"}), job.state
        # Settled late: it was not lost after all.
        if job.token != token:
            job.forgive_loss()
        if outcome.elapsed_s is not None:
            job.start(self.now - round(outcome.elapsed_s * 1000))
        job.note_ending(outcome.verdict)
        job.end(token)
        if outcome.verdict in ("done", "skipped"):
            self._finish(job, "done")
            job.skipped = outcome.verdict == "skipped"
            self.campaign_of(job).succeed()
            if outcome.verdict == "done" and outcome.elapsed_s is not None:
                self.note_well(job_id)
        elif outcome.verdict == "cancelled" or job.cancel:
            self._finish(job, "cancelled")
        elif outcome.counts_as_failure and is_quick(outcome) and place_of(job) in self.bad:
            job.taken_off.add(place_of(job))
            self._wait(job)
        else:
            self._fail(job_id, job, outcome)
        return {"settled"}, job.state

    def _finish(self, job: Job, state: str) -> None:
        job.state, job.cancel = state, False

    def _fail(self, job_id: str, job: Job, outcome: Outcome) -> None:
        campaign, place = self.campaign_of(job), place_of(job)
        job.failures += outcome.counts_as_failure
        if outcome.retry and job.failures <= campaign.retries:
            self._wait(job)
        else:
            self._finish(job, "failed")
            campaign.fails += campaign.max_fails > 0
            job.worn_out = outcome.retry
        if outcome.counts_as_failure:
            campaign.spread(place[0])
            if job.failures == 1:
                campaign.fail(job_id, place[0], outcome.reason)
            if is_quick(outcome):
                self.note_quick(job_id, outcome.reason)
        campaign.judge(place[0] if self.is_suspect(place, (job.campaign, outcome.reason)) else None)

    def give_back(self, job_id: str, token: str, *, free: bool, started: bool) -> set[bool]:
        job = self.jobs.get(job_id)
        if job is None:
            return {False}
        if job.token != token:
            return {True} if job.ended_token == token else {True, False} if token in job.ended_tokens else {False}
        if started:
            job.start(self.now)
            job.note_ending("handed_back")
        job.end(token)
        job.deliveries -= free
        if not free:
            job.count_loss()
        if job.cancel:
            job.note_ending("cancelled")
            self._finish(job, "cancelled")
        else:
            self._wait(job)
        return {True}

    def overdue(self) -> list[str]:
        if self.now < self.grace_until:
            return []
        return [i for i, j in self.jobs.items() if j.state == "running" and j.lease_end < self.now]

    def reap(self) -> list[str]:
        overdue = self.overdue()
        if self.now >= self.grace_until:
            self.lost_nodes = {n: at for n, at in self.lost_nodes.items() if at >= self.now - 60_000}
        self.lost_nodes |= {str(self.jobs[i].holder): self.now for i in overdue}
        for job in (self.jobs[i] for i in overdue):
            self._lose(job, together=len(self.lost_nodes) >= 2)
        return overdue

    def _lose(self, job: Job, *, together: bool) -> None:
        ran_ms = self.now - job.started_at if job.started else 0
        job.start(self.now)
        job.note_ending("lost")
        job.loss_counted = False
        if not together:
            job.count_loss()
        job.token, job.last_token = None, job.token
        if job.cancel:
            self._finish(job, "cancelled")
            return
        self._wait(job)
        if ran_ms > 0 and not job.is_suspect:
            job.place, job.until = "returning", self.now + min(3_600_000, ran_ms / 4)
