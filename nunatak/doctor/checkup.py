"""All checks in the order in which a person would make them: each finding is there as soon as it is known."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from broker.errors import BrokerError
from broker.start import ensure_broker
from broker.status import broker_status
from launcher.errors import LauncherError
from launcher.site import Site
from nunatak.doctor import broker_facts, host_facts, scheduler_facts
from nunatak.doctor.broker_state import judge_broker
from nunatak.doctor.clock import judge_clock
from nunatak.doctor.finding import Finding, bad, skipped
from nunatak.doctor.limits import judge_limits
from nunatak.doctor.login_host import judge_login_host
from nunatak.doctor.node_report import NodeReport, judge_node
from nunatak.doctor.place import Place
from nunatak.doctor.purge import judge_purge, judge_waiting
from nunatak.doctor.python import judge_python
from nunatak.doctor.scheduler import Scheduler, judge_scheduler
from nunatak.doctor.secrets import judge_secrets
from nunatak.doctor.server_program import judge_server_program
from nunatak.doctor.sharing import judge_sharing
from nunatak.doctor.space import judge_space
from nunatak.doctor.strangers import judge_strangers
from nunatak.doctor.test_job import Patience, TestJob
from nunatak.settings import Settings

_MOVE_PROGRAMS = "install nunatak on a filesystem that nodes see: docs/cluster.md, 'Install'"
_MOVE_HOME = "choose a folder that nodes see: export NUNATAK_HOME=$HOME/.nunatak (in ~/.bashrc and in crontab)"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be examined."""

    settings: Settings
    #: The site whose blocks are meant; None: no cluster is.
    site: Site | None
    #: The site of the test job; None: no job is submitted.
    job_site: Site | None
    environ: Mapping[str, str]
    patience: Patience
    #: Words for the user while it takes long.
    say: Callable[[str], None]

    @property
    def on_cluster(self) -> bool:
        """A cluster is meant, or there is one here."""
        if self.site is not None:
            return self.site.provider != "local"
        return "sbatch" not in scheduler_facts.missing_programs()


def examine(wanted: Wanted) -> Iterator[Finding]:
    """Every finding. A test job comes last, because it takes longest; what it proves of folders is said there."""
    settings = wanted.settings
    mounts = host_facts.mounts()
    place_of = partial(host_facts.place, all_mounts=mounts, environ=wanted.environ)
    home, programs = place_of(settings.home.root), place_of(host_facts.programs())
    yield from judge_python(host_facts.python())
    yield from judge_strangers(host_facts.strangers(wanted.environ))
    yield from judge_server_program(host_facts.server_program(settings.server.url, wanted.environ))
    if wanted.job_site is None:
        yield judge_sharing("programs", programs, on_cluster=wanted.on_cluster, move=_MOVE_PROGRAMS)
        yield judge_sharing("home", home, on_cluster=wanted.on_cluster, move=_MOVE_HOME)
    yield from judge_purge((home, programs))
    yield from judge_space(home, *host_facts.quota(home))
    yield from judge_limits(host_facts.limits())
    if wanted.on_cluster:
        yield from judge_login_host(host_facts.login_host(wanted.environ))
    yield from _examine_broker(wanted, place_of)
    yield from judge_secrets(host_facts.modes(settings.home))
    yield from _examine_scheduler(wanted)
    yield from _examine_node(wanted, programs, home)


def _examine_broker(wanted: Wanted, place_of: Callable[[Path], Place]) -> Iterator[Finding]:
    settings = wanted.settings
    if wanted.job_site is not None:
        yield from _start_for_nodes(wanted)
    status = broker_status(settings.home)
    yield from judge_broker(status, settings.lease, on_cluster=wanted.on_cluster)
    if not status.running:
        yield skipped("clock", "the broker does not run, and its clock is the one that counts")
        yield from judge_waiting((), "the broker does not run; start it to have its jobfiles looked at")
        return
    try:
        yield judge_clock(broker_facts.skew_to_server(settings.home, f"this host ({os.uname().nodename})"))
    except BrokerError as error:
        yield skipped("clock", str(error))
    yield from judge_waiting(*broker_facts.waiting(settings.home, place_of))


def _start_for_nodes(wanted: Wanted) -> Iterator[Finding]:
    """The test job needs a broker to reach, as the first block will."""
    settings = wanted.settings
    try:
        ensure_broker(settings.home, replace(settings.server, bind="all"), settings.lease, notice=wanted.say)
    except BrokerError as error:
        yield bad("broker", f"it could not be started: {error}", "correct what the text names, then nunatak doctor again")


def _examine_scheduler(wanted: Wanted) -> Iterator[Finding]:
    site = wanted.site
    if site is None or site.provider != "slurm":
        yield from judge_scheduler(site, Scheduler(missing=()))
    else:
        yield from judge_scheduler(site, scheduler_facts.ask(site, wanted.settings.home))


# -- the node ---------------------------------------------------------------------------------------------------------------------------


def _examine_node(wanted: Wanted, programs: Place, home: Place) -> Iterator[Finding]:
    site = wanted.job_site
    if site is None:
        if wanted.on_cluster:
            yield skipped("reach", "whether a node reaches the broker takes a short job: nunatak doctor -f SITE --job")
        return
    seen = _run_job(wanted, site, programs, home)
    if isinstance(seen, Finding):
        yield seen
        return
    for check, place, move in (("programs", programs, _MOVE_PROGRAMS), ("home", home, _MOVE_HOME)):
        there = seen.seen.get(place.path, False)
        yield judge_sharing(
            check, place, on_cluster=True, seen_by=seen.node if there else "", missing_on="" if there else seen.node, move=move
        )
    yield from judge_node(seen, site.cores_per_node)


def _run_job(wanted: Wanted, site: Site, programs: Place, home: Place) -> NodeReport | Finding:
    try:
        job = TestJob(wanted.settings.home, site, [programs.path, home.path], wanted.patience)
        wanted.say(f"test job {job.block.job_id or job.block.block_id} is submitted; waiting for it (Ctrl-C cancels it)")
        return job.wait(wanted.say)
    except LauncherError as error:
        return bad("reach", f"the test job could not be submitted: {error}", "correct the site file, or what the text names")
