"""What users do while jobfiles run: enqueue in every way, cancel, retry, pause, change, forget."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule
from lease_records import BAD_ENDS, RETRIES, Campaign
from lease_server import LeaseServer
from lease_world import DIRECTORY, IDS, NAMES, LeaseWorld

from broker.enqueue import Entry, enqueue, job_id, lane
from broker.errors import BrokerError, Stale

Wanted = list[tuple[str, int, int, str]]

CAMPAIGNS: dict[str, dict[str, str]] = {"plain": {}, "strict": {"retries": "1", "max_fails": "2"}}
PER_NODE = {"plain": 0, "strict": 2}

outputs = st.sampled_from(("absent", "absent", "unknown", "present"))
entry = st.tuples(st.sampled_from(NAMES), st.sampled_from((0, 5)), st.sampled_from((0, 3600)), outputs)
entries = st.lists(entry, min_size=2, max_size=5, unique_by=lambda e: e[0])
campaigns = st.sampled_from(tuple(CAMPAIGNS))
picks = st.integers(0, 3)


class UserRules(LeaseWorld):
    def __init__(self, server: LeaseServer) -> None:
        super().__init__(server)
        self.batches: list[tuple[dict[str, Any], tuple[str, ...]]] = []

    @initialize()
    def a_campaign_is_enqueued(self) -> None:
        self.beat()
        self._enqueue("plain", [(name, 0, 0, "absent") for name in NAMES], again=False, dry_run=False)

    def _campaign(self, name: str) -> str | None:
        answer = self.ask(lambda: self.scripts.campaign(name, CAMPAIGNS[name]))
        if answer is None:
            return None
        number, new = answer
        assert new == (name not in self.model.campaigns)
        options = CAMPAIGNS[name]
        known = Campaign(number=number, retries=int(options.get("retries", RETRIES)), max_fails=int(options.get("max_fails", 0)))
        assert self.model.campaigns.setdefault(name, known).number == number
        return number

    @rule(name=campaigns, wanted=entries, again=st.booleans(), dry_run=st.sampled_from((False, False, True)))
    def enqueue(self, name: str, wanted: Wanted, again: bool, dry_run: bool) -> None:
        self._enqueue(name, wanted, again=again, dry_run=dry_run)

    def _enqueue(self, name: str, wanted: Wanted, *, again: bool, dry_run: bool) -> None:
        number = self._campaign(name)
        if number is None:
            return
        per_node = PER_NODE[name]
        listed = [Entry(name=n, priority=p, per_node=per_node, estimate_s=e, outputs=o) for n, p, e, o in wanted]
        call: dict[str, Any] = {"batch": self.next("batch"), "campaign": number, "directory": DIRECTORY, "entries": listed}
        call |= {"again": again, "dry_run": dry_run}
        before = self.server.dump() if dry_run else None
        words = enqueue(self.scripts, **call).words
        verb = self.model.enqueue_word if dry_run else self.model.enqueue
        assert words == tuple(verb(job_id(DIRECTORY, n), number, lane(p, per_node, e, number), o, again) for n, p, e, o in wanted)
        if dry_run:
            assert self.server.dump() == before, "a dry run changed something"
        else:
            self.batches.append((call, words))

    @precondition(lambda self: self.batches)
    @rule(pick=picks)
    def enqueue_the_same_batch_again(self, pick: int) -> None:
        call, words = self.batches[-1 - pick % len(self.batches)]
        before = self.server.dump()
        answer = self.ask(lambda: enqueue(self.scripts, **call))
        assert answer is None or answer.words == words
        assert self.server.dump() == before, "a repeated batch changed something"

    @rule(wanted=st.sampled_from(IDS), all_waiting=st.sampled_from((True, False, False)))
    def cancel(self, wanted: str, all_waiting: bool) -> None:
        waiting = [i for i, j in self.model.jobs.items() if j.state == "queued"]
        self._twice("cancel", waiting if all_waiting and waiting else [wanted])

    @rule(wanted=st.sampled_from(IDS), all_bad=st.booleans())
    def retry(self, wanted: str, all_bad: bool) -> None:
        bad = [i for i, j in self.model.jobs.items() if j.state in BAD_ENDS]
        self._twice("retry", bad if all_bad and bad else [wanted])

    def _twice(self, verb: str, wanted: list[str]) -> None:
        for _ in range(2):
            words = self.ask(lambda: getattr(self.scripts, verb)(wanted))
            assert words is None or words == [getattr(self.model, verb)(i) for i in wanted]

    @rule(
        what=st.sampled_from(("pause", "pause", "resume", "relane", "relane", "forget")),
        name=campaigns,
        pick=picks,
        priority=st.sampled_from((0, 5, 9)),
        estimate=st.sampled_from((0, 3600)),
    )
    def a_campaign_is_changed(self, what: str, name: str, pick: int, priority: int, estimate: int) -> None:
        if what == "relane" and self.model.jobs:
            self._relane(list(self.model.jobs)[pick % len(self.model.jobs)], priority, estimate)
        elif what == "forget":
            self._forget(name)
        elif name in self.model.campaigns:
            self._pause(self.model.campaigns[name], "a look at the logs" if what == "pause" else "")

    def _pause(self, campaign: Campaign, reason: str) -> None:
        changed = self.ask(lambda: self.scripts.pause(campaign.number, reason))
        if changed is None:
            return
        assert changed == (campaign.paused != bool(reason))
        if reason:
            campaign.pause()
        else:
            self.model.wakes += len(self.model.jobs) * campaign.paused
            campaign.resume()

    def _relane(self, wanted: str, priority: int, estimate: int) -> None:
        job = self.model.jobs[wanted]
        to = lane(priority, job.per_node, estimate, job.campaign)
        moved = self.ask(lambda: self.scripts.relane([(wanted, to)]))
        assert moved is None or moved == self.model.relane(wanted, to)

    def _forget(self, name: str) -> None:
        known = set(self.model.jobs)
        try:
            gone = self.ask(lambda: self._forgotten(name))
        except Stale:
            raise
        except BrokerError:
            assert not self.model.forget(name), "an ended campaign was not forgotten"
            return
        if gone:
            assert self.model.forget(name), "a campaign was forgotten that has not ended"
            gone_ids = known - set(self.model.jobs)
            self.starts = {k: t for k, t in self.starts.items() if k[0] not in gone_ids}

    def _forgotten(self, name: str) -> bool:
        self.scripts.forget(name)
        return True
