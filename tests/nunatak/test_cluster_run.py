"""`nunatak run -f SITE`: its decisions and words, with a scheduler whose every word is known."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_scheduler import FakeScheduler, forget_everything
from filled_queue import Command, Queue
from servers import wait_until

from broker.records import Campaign, State, WorkerSeen
from launcher.demand import Nodes
from nunatak.blocks.backlog import nodes_of, waiting_of
from nunatak.blocks.cluster_run import Next, decide
from nunatak.settings import Settings


def campaign(queued: int = 0, running: int = 0, done: int = 0, paused: str | None = None, **options: str) -> Campaign:
    counts = {s: 0 for s in State} | {State.QUEUED: queued, State.RUNNING: running, State.DONE: done}
    return Campaign(name="c-2m", number="1", options=options, counts=counts, skipped=0, paused=paused)


@pytest.mark.parametrize(
    ("now", "facts", "expected"),
    [
        (campaign(done=3), {}, Next.FINISHED),
        (campaign(done=3), {"interrupted": True}, Next.FINISHED),
        (campaign(queued=1), {}, Next.GO_ON),
        (campaign(queued=1), {"interrupted": True}, Next.DETACH),
        (campaign(queued=1, paused="why"), {"live": 1}, Next.PAUSED),
        (campaign(queued=1, running=1, paused="why"), {}, Next.GO_ON),
        # A site that waits for a person is an end only when nobody works any more.
        (campaign(queued=1), {"site_paused": True, "live": 1}, Next.GO_ON),
        (campaign(queued=1, running=1), {"site_paused": True}, Next.GO_ON),
        (campaign(queued=1), {"site_paused": True}, Next.HELD),
        (campaign(queued=1), {"is_wished": False, "live": 1}, Next.GO_ON),
        (campaign(queued=1), {"is_wished": False}, Next.TAKEN_BACK),
    ],
)
def test_what_a_run_on_a_cluster_does_next(now, facts, expected):
    assert decide(now, **{"site_paused": False, "is_wished": True, "live": 0, "interrupted": False, **facts}) is expected


def test_the_backlog_is_what_the_campaigns_count_and_the_lanes_describe():
    now = campaign(queued=10, per_node="2")
    groups = waiting_of([now, campaign(queued=5, paused="why")], {"5.2.3600.1": 4, "5.1.0.1": 3})
    assert [(g.count, g.per_node, g.estimate_s) for g in groups] == [(4, 2, 3600.0), (3, 1, 0.0), (3, 2, 0.0)]
    # Tickets of jobfiles that were cancelled count for nothing.
    assert sum(g.count for g in waiting_of([now], {"5.2.0.1": 400})) == 10


def test_a_node_helps_if_it_is_heard_of_and_runs_nothing():
    def worker(name: str, **values: object) -> WorkerSeen:
        usual = {"node": name, "block": "b1", "site": "s", "pid": 1, "guard_pid": 2, "slots": 2, "running": 0, "frozen": 0}
        return WorkerSeen(worker=name, **{"state": "running", "last_contact_s": 1.0, **usual, **values})

    seen = [worker("n1"), worker("n2", running=1), worker("n3", state="bad"), worker("n4", last_contact_s=999.0), worker("n5", block="b2")]
    assert nodes_of(seen, 300.0) == {"b1": Nodes(heard=3, free=1), "b2": Nodes(heard=1, free=1)}


# -- the command ------------------------------------------------------------------------------------------------------------------------

SITE = """
provider = "slurm"
walltime = "24:00:00"
max_workers = 2
poll_every_s = 0.2
max_submitted = 3
"""
#: The program, but for the broker, which listens on this machine only: nothing of a test is open to other hosts.
PROGRAM = "import nunatak.cli.run as run; run.for_nodes = lambda settings: settings; import nunatak.main; nunatak.main.main()"


@pytest.fixture(autouse=True)
def clean_home(queue: Queue) -> Iterator[None]:
    yield
    forget_everything(queue.broker)


@pytest.fixture
def run(settings: Settings, scheduler: FakeScheduler, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:  # noqa: ARG001  # is on PATH
    """`nunatak run` of five jobfiles on the site `here`."""
    (settings.home.root / "sites").mkdir(exist_ok=True)
    (settings.home.root / "sites" / "here.toml").write_text(SITE)
    folder = tmp_path / "jobs"
    folder.mkdir()
    for number in range(5):
        (folder / f"qsub_{number}.sh").write_text("#!/bin/bash\ntrue\n")
    words = ["run", "-s", str(folder), "-f", "here", "--campaign", f"c-{tmp_path.name}", "--yes"]
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", PROGRAM, *words], env={**os.environ, "NUNATAK_HOME": str(settings.home.root)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    yield child
    child.kill()
    child.wait()


def claim_all(queue: Queue, name: str) -> None:
    for _ in range(5):
        queue.run(name)


def test_a_run_submits_what_it_needs_and_lets_blocks_go_when_all_have_ended(
    run, scheduler, queue, tmp_path, settings, nunatak: Command
):
    wait_until(lambda: len(scheduler.ids) == 3, 60, "three blocks")
    scheduler.tell(scheduler.ids[0], "RUNNING", started_s_ago=5)
    wait_until(lambda: '"running"' in nunatak("blocks", "list", "--json").out, 30, "the block to be seen running")
    claim_all(queue, f"c-{tmp_path.name}")
    folder = settings.home.blocks_dir / scheduler.block_of(scheduler.ids[0])
    wait_until(lambda: scheduler.calls("scancel") == 2, 60, "the two that only waited to be cancelled")
    (folder / "ended").write_text(f"exit_code=0\nended_at={time.time():.0f}\nbad_nodes=\n")
    out, _ = run.communicate(timeout=120)
    assert run.returncode == 0, out
    assert "3 blocks of 1 node for at most 24:00:00 on here: 72 SU at most" in out
    # Those that only waited are cancelled, and the one that ran takes nothing more.
    states = [line.split()[1] for line in nunatak("blocks", "list").out.splitlines() if line.startswith("b2")]
    assert sorted(states) == ["cancelled", "cancelled", "ended"]


def test_ctrl_c_leaves_the_blocks_and_says_how_to_watch_and_to_end_them(run, scheduler, nunatak: Command):
    wait_until(lambda: len(scheduler.ids) == 3, 60, "three blocks")
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 130, out
    assert "Blocks go on without this command" in out
    for what in ("nunatak status", "nunatak blocks list", "nunatak blocks cron", "nunatak blocks drain all"):
        assert what in out
    assert scheduler.calls("scancel") == 0
    nunatak("blocks", "cancel", "all")


def test_a_run_on_a_site_that_needs_a_person_ends_with_the_reason(run, scheduler, nunatak: Command):
    wait_until(lambda: len(scheduler.ids) == 3, 60, "three blocks")
    for job in scheduler.ids:
        scheduler.tell(job, "FAILED", "NonZeroExitCode", started_s_ago=5, ended=True)
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 3, out
    assert "no block is left, and nothing is submitted on here, because 3 blocks in a row died young" in out
    assert "nunatak blocks resume here" in out
    nunatak("blocks", "resume")
