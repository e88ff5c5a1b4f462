"""The test job: a block of one minute that runs the probe in the worker's place, through the same script and the same provider."""

import logging
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from broker.home import Home
from launcher import blocks
from launcher.errors import LauncherError
from launcher.job_file import JobFile
from launcher.site import Site
from nunatak.doctor.finding import Finding, bad, skipped
from nunatak.doctor.node_report import NodeReport

log = logging.getLogger(__name__)

_WALLTIME = "00:01:00"
_WARN_S = 10
#: The node writes its report into a folder that is listed this often.
_LIST_EVERY_S = 1.0
#: How long a job that has ended may take to show its report on this host.
_CACHED_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long the job is waited for."""

    #: Then it is cancelled.
    wait_s: float = 900.0
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


def job_site(site: Site) -> Site:
    """The site with as few nodes and as little time as it allows. Raises LauncherError."""
    try:
        return replace(site, nodes_per_block=site.min_nodes, walltime=_WALLTIME if site.provider != "local" else "", warn_s=_WARN_S)
    except ValueError as error:
        raise LauncherError(f"the test job is not possible. {error}") from error


class TestJob:
    """One submitted test job."""

    #: Not a test of pytest's.
    __test__ = False

    def __init__(self, home: Home, site: Site, folders: list[str], patience: Patience) -> None:
        self._home, self._patience, self._ledger = home, patience, JobFile(home)
        block_id = f"doctor-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        self._folder = blocks.block_folder(home, block_id)
        command = (sys.executable, "-I", "-m", "nunatak.doctor.node_probe", str(self._folder), str(home.root), *folders)
        self._ask_every_s = site.poll_every_s
        self.block = blocks.submit(site, home, block_id, ledger=self._ledger, command=command)

    def wait(self, say: Callable[[str], None]) -> NodeReport | Finding:
        """The report; or why there is none. The job ends by itself then, or is cancelled."""
        reported = False
        try:
            seen = self._wait(say)
            reported = isinstance(seen, NodeReport)
            return seen
        finally:
            if not reported:
                self._cancel()

    def _wait(self, say: Callable[[str], None]) -> NodeReport | Finding:
        clock, end = self._patience.clock, self._patience.clock() + self._patience.wait_s
        # Its start takes a moment: the scheduler is asked when that has passed.
        next_look, over_at, said = clock() + min(5.0, self._ask_every_s), None, ""
        while clock() < end:
            report = NodeReport.read(self._folder)
            if report is not None:
                return report
            if over_at is not None and clock() - over_at > _CACHED_S:
                return self._ended()
            if clock() >= next_look and over_at is None:
                next_look = clock() + self._ask_every_s
                over_at, words = self._look()
                if words != said:
                    say(words)
                    said = words
            self._patience.sleep(_LIST_EVERY_S)
        return skipped("reach", f"the test job has not started within {self._patience.wait_s / 60:.0f} minutes ({said}), and was cancelled")

    def _look(self) -> tuple[float | None, str]:
        self.block = blocks.look(self.block, self._home)
        self._ledger.record_block(self.block.block_id, self.block.to_fields())
        named = f"job {self.block.job_id}" if self.block.job_id else f"job {self.block.block_id}"
        words = f"{named}: {self.block.state.value}" + (f", {self.block.reason}" if self.block.reason else "")
        return (self._patience.clock() if self.block.state.is_over else None), words

    def _ended(self) -> Finding:
        output = blocks.said(self.block, self._home) or "it said nothing"
        return bad(
            "reach", f"the test job ended without a report: {self.block.reason or self.block.state.value}\n{output}",
            f"correct what its output names (worker_init, a folder that nodes do not see); its files: {self._folder}",
        )

    def _cancel(self) -> None:
        try:
            blocks.cancel(self.block, self._home, ledger=self._ledger)
        except LauncherError as error:
            log.warning("doctor.job_not_cancelled block=%s error=%s", self.block.block_id, error)


