"""What jobfiles do on good and bad nodes, in a line each."""

from verb_bench import Bench, holder

from broker.claim import Claim
from broker.lease import Held, Phase, new_token


def names(count: int, first: int = 0) -> list[str]:
    return [f"{i:03}.sh" for i in range(first, first + count)]


def fail_on(bench: Bench, worker: str, times: int, reason: str = "exit 1", **how: bool) -> list[str]:
    """The next jobfiles fail at once on this worker; which they were."""
    claims = [bench.claim(worker) for _ in range(times)]
    for claim in claims:
        bench.fail(claim, reason, **how)
    return [c.name for c in claims]


def end_on(bench: Bench, worker: str, times: int) -> list[str]:
    claims = [bench.claim(worker) for _ in range(times)]
    for claim in claims:
        bench.settle(claim)
    return [c.name for c in claims]


def outlive(bench: Bench, claim: Claim, worker: str, age_s: float = 61.0) -> None:
    bench.leases.renew(worker, "{}", [Held(job_id=claim.job_id, token=claim.token, phase=Phase.RUNNING, age_s=age_s)])


def refusal(bench: Bench, worker: str, block: str = "b1") -> str:
    who = holder(worker)
    return str(bench.scripts.claim(new_token(), worker, who.node, block, 1.0, 0.25, "")[0])


def bad(bench: Bench) -> list[str]:
    return [n.node.removeprefix("node-of-") for n in bench.ledger.bad_nodes()]


def failures(bench: Bench, listed: list[str]) -> list[int]:
    return [bench.job(name).failures for name in listed]
