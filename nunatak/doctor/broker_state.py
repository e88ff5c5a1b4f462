"""The broker: whether it runs, is minded, and can be reached by nodes."""

from collections.abc import Iterator

from broker.settings import LeaseSettings
from broker.status import BrokerStatus
from nunatak.doctor.finding import Finding, bad, ok, skipped, warning


def judge_broker(status: BrokerStatus, lease: LeaseSettings, *, on_cluster: bool) -> Iterator[Finding]:
    """`on_cluster`: its users are on other hosts."""
    address = status.address
    if address is None:
        yield skipped("broker", "none was started yet; the first enqueue-jobfiles starts it")
        return
    if address.is_stopped and address.is_wanted:
        yield warning(
            "broker", f"{address.host} has let it go (a signal, or the end of its job), and nobody has started it since",
            "any command starts it; so that this happens by itself: nunatak blocks cron",
        )
        return
    if address.is_stopped:
        yield skipped("broker", f"stopped in good order on {address.host}; the next command that needs it starts it")
        return
    if not status.running:
        yield bad("broker", f"last on {address.host}, and it does not answer: {status.reason.splitlines()[0]}", "nunatak broker start")
        return
    yield _judge_beat(status, lease)
    if not on_cluster:
        return
    if address.is_for_all_hosts:
        hosts = "the hosts of its URL" if address.url else ", ".join(f"{host}:{address.port}" for host in address.hosts)
        yield ok("bind", f"it listens for other hosts: {hosts}")
    else:
        yield warning(
            "bind", f"it listens on {address.host} only, where no node can reach it",
            "nunatak broker start --bind all; running jobfiles do not notice",
        )


def _judge_beat(status: BrokerStatus, lease: LeaseSettings) -> Finding:
    assert status.address is not None
    where = "an external server" if status.address.url else status.address.host
    age = status.beat_age_s
    if age is None or age >= lease.beat_fresh_s:
        when = "never" if age is None else f"{age:.0f} s ago"
        return bad("broker", f"on {where}, it answers and refuses all work: its last beat was {when}", "nunatak broker start")
    return ok("broker", f"on {where}, {status.product} {status.version}, last beat {max(0.0, age):.0f} s ago")
