"""The doctor's test job is never left behind: whatever ends the waiting, a job without a report is cancelled."""

import pytest
from servers import wait_until

from broker.home import Home
from launcher import blocks
from launcher.block import BlockState
from launcher.site import Site
from nunatak.doctor.finding import Finding, Result
from nunatak.doctor.test_job import Patience, TestJob, job_site

SLOW = Site(name="slow", worker_init="sleep 100", poll_every_s=0.2)


def is_over(job: TestJob, home: Home) -> bool:
    return blocks.look(job.block, home).state.is_over


def test_a_job_that_does_not_report_in_time_is_cancelled_and_says_in_which_state_it_was(home: Home):
    said: list[str] = []
    job = TestJob(home, job_site(SLOW), [], Patience(wait_s=2.5))
    finding = job.wait(said.append)
    assert isinstance(finding, Finding)
    assert (finding.result, "running" in finding.text, "running" in said[0]) == (Result.SKIPPED, True, True)
    wait_until(lambda: is_over(job, home), 20, "the job to be gone")


def test_ctrl_c_cancels_it(home: Home):
    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    job = TestJob(home, job_site(SLOW), [], Patience(sleep=interrupted))
    with pytest.raises(KeyboardInterrupt):
        job.wait(lambda _: None)
    wait_until(lambda: is_over(job, home), 20, "the job to be gone")


def test_it_is_recorded_apart_from_blocks(home: Home):
    job = TestJob(home, job_site(Site(name="here", poll_every_s=0.2)), [], Patience(wait_s=30))
    job.wait(lambda _: None)
    assert job.block.state is BlockState.RUNNING
    assert (home.blocks_dir / job.block.block_id / "job.json").exists()


def test_it_asks_for_as_little_as_the_site_allows():
    site = Site(name="big", provider="slurm", nodes_per_block=8, min_nodes=3, walltime="48:00:00", least_charged_min=15)
    small = job_site(site)
    assert (small.nodes_per_block, small.walltime_s, small.block_su_max) == (3, 60, 0.75)
