"""A server, a clock and short forms of the lease verbs, for tests of one fact each."""

from typing import Any

from lease_server import LeaseServer

from broker.claim import Claim
from broker.enqueue import Entry, enqueue, job_id
from broker.lease import Held, Holder, Leases, Outcome, Phase, Room, Settled, Word, new_token
from broker.ledger import Ledger
from broker.records import Job
from broker.scripts import Beat, Reaped, Scripts
from broker.settings import LeaseSettings

SETTINGS = LeaseSettings()
DIRECTORY = "/scratch/jobfiles/2m"
EVERYTHING = Room(free_share=1.0, slot_share=0.25)


def holder(worker: str) -> Holder:
    return Holder(worker=worker, node=f"node-of-{worker}", block="b1")


class Bench:
    """Time starts at an arbitrary second and moves only when a test says so."""

    def __init__(self, server: LeaseServer) -> None:
        server.wipe()
        self.server = server
        self.client: Any = server.client
        self.now_ms = 1_700_000_000_000
        self.scripts = Scripts(server.client, clock=lambda: self.now_ms)
        self.leases = Leases(self.scripts)
        self.ledger = Ledger(server.client, clock=lambda: self.now_ms)
        self.counter = 0
        self.batches = 0
        self.beat()
        # The grace after the first beat is over.
        self.pass_s(SETTINGS.lease_s + SETTINGS.margin_s)

    # -- time and the supervisor --------------------------------------------------------------------------------------------------

    def beat(self, run_id: str = "run", epoch: int = 1, drift: bool = False, at_ms: int | None = None) -> Beat:
        self.counter += 1
        return self.scripts.beat(self.now_ms if at_ms is None else at_ms, self.counter, epoch, run_id, drift, SETTINGS)

    def pass_s(self, seconds: float) -> None:
        """Time with beats."""
        while seconds > 0:
            self.now_ms += round(min(seconds, 30) * 1000)
            self.beat()
            seconds -= 30

    def lose(self) -> list[Reaped]:
        """All leases run out and are reaped."""
        self.pass_s(SETTINGS.lease_s + 1)
        return self.scripts.reap()

    # -- users --------------------------------------------------------------------------------------------------------------------

    def campaign(self, name: str = "c", **options: str) -> str:
        return self.scripts.campaign(name, options)[0]

    def enqueue(self, *entries: Entry | str, campaign: str = "c", batch: str | None = None, **how: bool) -> list[str]:
        self.batches += 1
        listed = [e if isinstance(e, Entry) else Entry(name=e, priority=5) for e in entries]
        number = self.campaign(campaign)
        batch = batch or f"batch{self.batches}"
        return list(enqueue(self.scripts, batch=batch, campaign=number, directory=DIRECTORY, entries=listed, **how).words)

    # -- workers ------------------------------------------------------------------------------------------------------------------

    def claim(self, worker: str = "w1", room: Room = EVERYTHING, token: str | None = None) -> Claim:
        claim = self.maybe_claim(worker, room, token)
        assert claim is not None, "nothing was given out"
        return claim

    def maybe_claim(self, worker: str = "w1", room: Room = EVERYTHING, token: str | None = None) -> Claim | None:
        return self.leases.claim(token or new_token(), holder(worker), room)

    def claim_word(self, room: Room = EVERYTHING) -> str:
        reply = self.scripts.claim(new_token(), "w9", "n9", "b9", room.free_share, room.slot_share, "", *room.campaigns)
        return str(reply[0])

    def renew(self, *claims: Claim, phase: Phase = Phase.HELD, worker: str = "w1") -> tuple[Word, ...]:
        held = [Held(job_id=c.job_id, token=c.token, phase=phase, age_s=1.0) for c in claims]
        return self.leases.renew(worker, "{}", held).words

    def settle(self, claim: Claim, verdict: str = "done", reason: str = "", **more: Any) -> Settled:
        return self.leases.settle(claim.job_id, claim.token, Outcome(verdict=verdict, reason=reason, **({"elapsed_s": 1.0} | more)))

    def fail(self, claim: Claim, reason: str = "exit 1", retry: bool = True) -> Settled:
        return self.settle(claim, "failed", reason, counts_as_failure=True, retry=retry)

    def end(self, name: str, verdict: str, campaign: str = "c") -> None:
        """Enqueue a jobfile and let it end so."""
        self.enqueue(name, campaign=campaign)
        self.settle(self.claim(), verdict)

    def give_back(self, claim: Claim, free: bool = True, elapsed_s: float | None = 1.0) -> bool:
        return self.leases.give_back(claim.job_id, claim.token, free=free, reason="drain", elapsed_s=elapsed_s)

    def take_back(self, claim: Claim) -> float | None:
        return self.leases.take_back(claim.job_id, claim.token)

    # -- what is recorded ---------------------------------------------------------------------------------------------------------

    def job(self, name: str) -> Job:
        found = self.ledger.job_at(DIRECTORY, name)
        assert found is not None, f"{name} has no record"
        return found

    def state(self, name: str) -> str:
        return self.job(name).state.value

    def id(self, name: str) -> str:
        return job_id(DIRECTORY, name)

    def events(self, name: str) -> list[dict[str, str]]:
        return [fields for _, fields in self.client.xrange("events") if fields["event"] == name]

    def paused(self, campaign: str = "c") -> str | None:
        found = self.ledger.campaign(campaign)
        assert found is not None
        return found.paused
