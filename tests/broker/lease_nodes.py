"""Which nodes are bad, as the lease verbs' model sees it (the base of lease_model.py), written from docs/leases.md, "Bad nodes"."""

from dataclasses import dataclass, field

from lease_records import QUICK_S, Campaign, Job

from broker.lease import Holder, Outcome

Place = tuple[str, str]
#: A campaign's number and a failure's reason.
Kind = tuple[str, str]

LATELY_MS = 3_600_000


def place_of(job: Job) -> Place:
    assert job.holder is not None
    return job.holder.node, job.holder.block


def is_quick(outcome: Outcome) -> bool:
    return outcome.elapsed_s is None or outcome.elapsed_s < QUICK_S


@dataclass
class Row:
    """What failed quickly on a place since something did well there: jobfile -> kind, None if no node is to blame for it."""

    well: bool = False
    failed: dict[str, Kind | None] = field(default_factory=dict)

    def count(self, kind: Kind) -> int:
        return sum(k == kind for k in self.failed.values())

    @property
    def is_well(self) -> bool:
        return self.well and not any(self.failed.values())


class NodeModel:
    now: int
    jobs: dict[str, Job]

    def __init__(self) -> None:
        self.bad: dict[Place, Kind] = {}
        self.drained: set[str] = set()
        self.rows: dict[Place, Row] = {}
        #: Campaign -> what did well where; what failed quickly where, for what reason; what failed so wherever it ran: and when.
        self._well: dict[str, dict[tuple[str, str], int]] = {}
        self._failing: dict[str, dict[tuple[Place, str], int]] = {}
        self._own: dict[str, dict[tuple[str, str], int]] = {}

    def campaign_of(self, job: Job) -> Campaign:
        raise NotImplementedError

    def _wait(self, job: Job) -> None:
        raise NotImplementedError

    def refusal(self, holder: Holder) -> str:
        """Why a worker is given nothing more."""
        if holder.block in self.drained:
            return "drain"
        return "bad" if (holder.node, holder.block) in self.bad else ""

    def forget_evidence(self, campaign: str) -> None:
        for kept in (self._well, self._failing, self._own):
            kept.pop(campaign, None)  # type: ignore[attr-defined]

    # -- what is heard --------------------------------------------------------------------------------------------------------------

    def note_well(self, job_id: str, *, clears: bool = True) -> None:
        job = self.jobs[job_id]
        if clears:
            self.rows[place_of(job)] = Row(well=True)
        self._well.setdefault(job.campaign, {})[job_id, place_of(job)[0]] = self.now
        for (place, reason), at in list(self._failing.get(job.campaign, {}).items()):
            if at >= self.now - LATELY_MS:
                self._judge(place, (job.campaign, reason))

    def note_quick(self, job_id: str, reason: str) -> None:
        job = self.jobs[job_id]
        place, kind = place_of(job), (job.campaign, reason)
        row = self.rows.setdefault(place, Row())
        before = {*job.quick_on, *job.taken_off}
        job.quick_on.append(place)
        if before - {place}:
            for earlier in before:
                self._withdraw(job_id, earlier)
            row.failed.setdefault(job_id, None)
            if row.is_well:
                self._testify(job_id, kind)
        else:
            row.failed.setdefault(job_id, kind)
            self._failing.setdefault(job.campaign, {})[place, reason] = self.now
        self._judge(place, kind)

    def _withdraw(self, job_id: str, place: Place) -> None:
        row = self.rows.get(place, Row())
        kind = row.failed.get(job_id)
        if kind is not None:
            row.failed[job_id] = None
            if not row.count(kind):
                self._failing.get(kind[0], {}).pop((place, kind[1]), None)

    def _testify(self, job_id: str, kind: Kind) -> None:
        self._own.setdefault(kind[0], {})[job_id, kind[1]] = self.now
        if self._is_own(kind):
            for place in [p for p, k in self.bad.items() if k == kind]:
                self.forgive(place)

    # -- what is made of it ---------------------------------------------------------------------------------------------------------

    def _is_own(self, kind: Kind) -> bool:
        said = self._own.get(kind[0], {})
        return sum(why == kind[1] and at >= self.now - LATELY_MS for (_, why), at in said.items()) >= 2

    def _is_well_elsewhere(self, kind: Kind, node: str) -> bool:
        well = [(i, n) for (i, n), at in self._well.get(kind[0], {}).items() if n != node and at >= self.now - LATELY_MS]
        failing = self._failing.get(kind[0], {}).items()
        failing_nodes = {p[0] for (p, why), at in failing if why == kind[1] and p[0] != node and at >= self.now - LATELY_MS}
        return len({i for i, _ in well}) >= 3 and len({n for _, n in well}) > len(failing_nodes)

    def _judge(self, place: Place, kind: Kind) -> None:
        row = self.rows.get(place, Row())
        if row.count(kind) < 3 or place in self.bad or self._is_own(kind) or not self._is_well_elsewhere(kind, place[0]):
            return
        self.bad[place] = kind
        excused = [self.jobs[i] for i in row.failed if i in self.jobs and self._take_off(i, place)]
        del self.rows[place]
        for campaign in {id(c): c for c in map(self.campaign_of, excused)}.values():
            if campaign.lift():
                self.ring()

    def _take_off(self, job_id: str, place: Place) -> bool:
        job = self.jobs[job_id]
        times = job.quick_on.count(place)
        if not times:
            return False
        campaign = self.campaign_of(job)
        job.failures -= times
        job.quick_on = [p for p in job.quick_on if p != place]
        job.taken_off.add(place)
        was_final = job.state == "failed" and (place_of(job) == place or job.worn_out)
        campaign.take_off(job_id, place[0], was_final=was_final)
        if was_final:
            self._wait(job)
        return True

    def ring(self) -> None:
        raise NotImplementedError

    def forgive(self, place: Place) -> None:
        del self.bad[place]
        self.ring()

    def is_suspect(self, place: Place, kind: Kind) -> bool:
        return self.rows.get(place, Row()).count(kind) >= 3
