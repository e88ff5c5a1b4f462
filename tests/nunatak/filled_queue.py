"""The broker's verbs and the program's commands, as tests use them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from whole.machine import Said

from broker.claim import Claim
from broker.enqueue import Entry, enqueue, job_id
from broker.lease import Held, Holder, Leases, Outcome, Phase, Room, new_token
from nunatak.exit_codes import OURS, exit_code_of
from nunatak.main import nunatak as program
from nunatak.session import open_broker
from nunatak.settings import Settings


class Queue:
    """The broker's verbs, as workers and enqueuers use them."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.broker = open_broker(settings, start=True)
        self.leases = Leases(self.broker.scripts)
        self.folder = folder

    def add(
        self, campaign: str, *names: str, priority: int = 5, own: tuple[str, ...] = (), outputs: str = "unknown", **options: str
    ) -> str:
        """Enqueue jobfiles; returns the campaign's number."""
        number, _ = self.broker.scripts.campaign(campaign, options)
        share, estimate_s = int(options.get("per_node", 0)), float(options.get("time_s", 0))
        entries = [
            Entry(name=n, priority=priority, per_node=share, own=own, outputs=outputs, estimate_s=estimate_s) for n in names
        ]
        enqueue(self.broker.scripts, batch=new_token(), campaign=number, directory=str(self.folder), entries=entries)
        return number

    def claim(self, campaign: str, worker: str = "w1", node: str = "c101-001") -> Claim:
        """What a worker gets of this campaign; nothing of it runs yet."""
        found = self.broker.ledger.campaign(campaign)
        assert found is not None
        room = Room(free_share=1.0, slot_share=0.25, campaigns=(found.number,))
        claim = self.leases.claim(new_token(), Holder(worker=worker, node=node, block="b1"), room)
        assert claim is not None
        return claim

    def start(self, campaign: str, worker: str = "w1", age_s: float = 5.0, **said: Any) -> Claim:
        """Claim one and let it run, as the worker's next renewal tells the broker."""
        claim = self.claim(campaign, worker)
        self.renew(worker, [claim], age_s, **said)
        return claim

    def renew(self, worker: str, claims: list[Claim], age_s: float = 5.0, **said: Any) -> None:
        place = {"node": "c101-001", "block": "b1", "site": "local", "pid": 11, "guard_pid": 10}
        describes = {**place, "slots": 4, "running": len(claims), "frozen": 0}
        held = [Held(job_id=c.job_id, token=c.token, phase=Phase.RUNNING, age_s=age_s) for c in claims]
        self.leases.renew(worker, json.dumps({**describes, "state": "running", **said}), held)

    def end(self, claim: Claim, verdict: str = "done", **outcome: Any) -> None:
        """Settle: done by default, else as said."""
        values = {"reason": "exit code 0", "exit_code": 0, "elapsed_s": 10.0, **outcome}
        assert self.leases.settle(claim.job_id, claim.token, Outcome(verdict=verdict, **values)).accepted

    def run(self, campaign: str, **outcome: Any) -> None:
        """One jobfile from its claim to its end."""
        self.end(self.start(campaign), **outcome)

    def fail(self, campaign: str, reason: str = "exit code 1", **outcome: Any) -> None:
        self.run(campaign, verdict="failed", reason=reason, exit_code=1, counts_as_failure=True, retry=True, **outcome)

    def state(self, name: str) -> str:
        job = self.broker.ledger.job(job_id(str(self.folder), name))
        assert job is not None
        return job.state.value

    def lane(self, name: str) -> str:
        return str(self.broker.client.hget(f"job:{job_id(str(self.folder), name)}", "lane"))


Command = Callable[..., Said]


def call(home: Path, *words: str) -> Said:
    """`nunatak WORDS…` with this home; our errors end with their exit codes, as nunatak/main.py has it, and all others fail the test."""
    result = CliRunner().invoke(program, list(words), env={"NUNATAK_HOME": str(home), "COLUMNS": "80"})
    error = result.exception
    if isinstance(error, OURS):
        return Said(code=int(exit_code_of(error)), out=result.stdout, err=result.stderr + str(error))
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return Said(code=result.exit_code, out=result.stdout, err=result.stderr)
