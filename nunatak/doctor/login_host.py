"""What this login host does to processes that stay: the broker and the launcher."""

from collections.abc import Iterator
from dataclasses import dataclass

from nunatak.doctor.finding import Finding, ok, warning

_SCARCE_BYTES = 512 << 20


@dataclass(frozen=True, kw_only=True)
class LoginHost:
    """The host that this runs on."""

    name: str
    #: The batch job that this runs in; empty: none.
    job_id: str
    #: systemd ends a user's processes when he logs out.
    kills_at_logout: bool
    #: The user has asked systemd to let them live all the same.
    lingers: bool
    #: `crontab` is there.
    has_cron: bool
    #: Memory of all the user's processes on this host; None: no limit.
    memory_bytes: int | None


def judge_login_host(host: LoginHost) -> Iterator[Finding]:
    findings = list(_warnings(host))
    yield from findings or [ok("login host", f"{host.name}: processes outlive a logout as far as one can see, cron is there")]


def _warnings(host: LoginHost) -> Iterator[Finding]:
    if host.job_id:
        yield warning(
            "login host", f"{host.name} is a node of job {host.job_id}; many sites refuse sbatch there", "run commands on a login host",
        )
    if host.kills_at_logout and not host.lingers:
        yield warning(
            "login host", f"{host.name} ends your processes when you log out (logind.conf: KillUserProcesses)",
            "nunatak broker submit -f SITE; running jobfiles do not notice",
        )
    if not host.has_cron and not host.job_id:
        yield warning(
            "login host", f"{host.name} has no crontab: nobody restarts the broker or submits blocks while you are away",
            "cron on another login host, or come back now and then: any command restarts the broker",
        )
    if host.memory_bytes is not None and host.memory_bytes < _SCARCE_BYTES:
        yield warning(
            "login host", f"{host.name} gives your processes {host.memory_bytes >> 20} MiB in all",
            "run the broker in a job: nunatak broker submit -f SITE",
        )
