"""`nunatak run`: its decisions, its words, and whole runs of real jobfiles."""

import io
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filled_queue import Command, Queue, call
from rich.console import Console
from whole.machine import Machine, machine_in

from broker.home import Home
from broker.records import BlockSeen, Campaign, State
from launcher.block import Block, BlockState
from launcher.process import Process, here
from launcher.site import Site
from nunatak.block_file import BlockFile, read_block_file, write_block_file
from nunatak.errors import WrongUse
from nunatak.interrupts import Interrupts
from nunatak.node import Place, guard_argv, guard_settings
from nunatak.own_block import OwnBlock, candidates
from nunatak.progress import PlainProgress, Snapshot, drawing, is_due, plain_line
from nunatak.results import read_results, table
from nunatak.running import Next, Running, decide, end_text
from nunatak.session import Session
from nunatak.settings import Settings, WorkerDefaults
from tasks.guard.settings import GuardSettings
from tasks.settings import WorkerSettings


def campaign(queued: int = 0, running: int = 0, done: int = 0, failed: int = 0, paused: str | None = None, name: str = "c-2m") -> Campaign:
    counts = {s: 0 for s in State} | {State.QUEUED: queued, State.RUNNING: running, State.DONE: done, State.FAILED: failed}
    return Campaign(name=name, number="1", options={}, counts=counts, skipped=0, paused=paused)


def block(state: BlockState = BlockState.RUNNING, **fields: Any) -> Block:
    place = Process(host="here", boot="b", pid=1, started=1)
    values = {"block_id": "b1", "site": "local", "provider": "local", "campaigns": ("c",), "process": place, "slots": 2, **fields}
    return Block(state=state, **values)


# -- decisions --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "own", "deaths", "interrupted", "expected"),
    [
        (campaign(done=3), None, 0, False, Next.FINISHED),
        (campaign(done=3), block(), 0, True, Next.FINISHED),
        (campaign(queued=1), None, 0, True, Next.INTERRUPTED),
        (campaign(queued=1), None, 0, False, Next.SUBMIT),
        (campaign(queued=1), block(), 0, False, Next.GO_ON),
        (campaign(queued=1), block(BlockState.UNKNOWN), 0, False, Next.GO_ON),
        (campaign(queued=1), block(BlockState.FAILED), 1, False, Next.SUBMIT),
        (campaign(queued=1), block(BlockState.FAILED), 2, False, Next.SUBMIT),
        (campaign(queued=1), block(BlockState.FAILED), 3, False, Next.GIVE_UP),
        # What runs is another block's, or its lease has to run out.
        (campaign(running=1), block(BlockState.FAILED), 3, False, Next.GO_ON),
        (campaign(queued=1, paused="why"), None, 0, False, Next.PAUSED),
        (campaign(queued=1, running=1, paused="why"), block(), 0, False, Next.GO_ON),
        (campaign(queued=1, running=1, paused="why"), block(BlockState.FAILED), 1, False, Next.GO_ON),
    ],
)
def test_what_a_run_does_next(now, own, deaths, interrupted, expected):
    assert decide(now, own, deaths, interrupted) is expected


def test_only_a_block_of_this_campaign_and_machine_is_adopted():
    blocks = {
        "mine": block(submitted_at=1.0),
        "younger": block(submitted_at=2.0),
        "over": block(BlockState.FAILED),
        "leaving": block(BlockState.LEAVING),
        "other-site": block(site="frontera"),
        "all-campaigns": block(campaigns=()),
        "elsewhere": block(process=Process(host="there", boot="b", pid=1, started=1)),
    }
    seen = [BlockSeen(block=name, fields=b.to_fields()) for name, b in blocks.items()]
    assert [b.block_id for b in candidates(seen, "local", "c", "here")] == ["younger", "mine"]


# -- words ------------------------------------------------------------------------------------------------------------------------------


def test_a_plain_line_has_percent_counts_and_eta():
    snapshot = Snapshot(campaign=campaign(queued=13, running=2, done=24, failed=1), eta=(20.0, 20.0))
    assert plain_line(snapshot) == "c-2m 62%: 24 of 40 done, 2 running, 13 waiting, 1 failed; about 20s to go"
    assert plain_line(Snapshot(campaign=campaign(done=40), eta=(0.0, 0.0))) == "c-2m 100%: 40 of 40 done"


def test_a_hundred_percent_are_shown_only_at_the_end():
    assert Snapshot(campaign=campaign(running=1, done=9999)).percent == 99


def test_plain_lines_come_with_a_change_but_not_more_often_than_every_few_seconds():
    assert not is_due(4.9, changed=True)
    assert is_due(5.0, changed=True)
    assert not is_due(60.0, changed=False)
    assert is_due(600.0, changed=False)


def test_the_first_and_the_last_state_are_always_told():
    told: list[str] = []
    now = [0.0]
    progress = PlainProgress(tell=told.append, clock=lambda: now[0])
    for at, done in ((0.0, 0), (1.0, 1), (6.0, 2), (7.0, 3), (7.5, 4)):
        now[0] = at
        progress.show(Snapshot(campaign=campaign(queued=4 - done, done=done)))
    progress.close()
    progress.close()
    assert [line.split(":")[0] for line in told] == ["c-2m 0%", "c-2m 50%", "c-2m 100%"]


@pytest.mark.parametrize("name", ["c-2m", "a_very_long_name_of_a_region_with_a_resolution-50cm"])
def test_the_bar_fits_into_80_columns(name):
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    snapshot = Snapshot(campaign=campaign(queued=13, running=2, done=24, failed=1, name=name), eta=(3600.0, 7200.0))
    with console.capture() as capture:
        console.print(drawing(snapshot, 72.0))
    lines = capture.get().splitlines()
    assert len(lines) == 2
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith(name[:20])
    assert "62%" in lines[0]
    assert lines[1] == "  24 of 40 done, 2 running, 13 waiting, 1 failed; about 1h 00m to 2h 00m to go".ljust(len(lines[1]))


def test_a_dead_blocks_last_words_are_shown():
    assert end_text(block(BlockState.FAILED, reason="its script ended with exit code 1"), "x.err:\nno module") == (
        "block b1 died: its script ended with exit code 1; the last it said:\nx.err:\nno module"
    )
    assert end_text(block(BlockState.ENDED), "") == "block b1 has ended; it said nothing"


def test_results_name_what_failed_with_its_reason(queue: Queue):
    queue.add("ended", "a.sh", "b.sh", retries="0")
    queue.run("ended", elapsed_s=7.0, cpu_s=3.0)
    queue.fail("ended", reason="exit code 7", elapsed_s=90.0)
    found = queue.broker.ledger.campaign("ended")
    assert found is not None
    results = read_results(queue.broker.ledger, found, 100.0)
    assert not results.all_done
    assert [job.latest.reason for job in results.bad] == ["exit code 7"]
    rows = dict(table(results))
    assert (rows["done"], rows["failed"], rows["total"], rows["time"], rows["longest"]) == ("1", "1", "2", "1m 40s", "1m 30s")


# -- what a node is told ----------------------------------------------------------------------------------------------------------------


def test_a_blocks_parameters_are_kept_for_its_nodes(home: Home):
    parameters = BlockFile(block="b1", site="local", slots=3, campaigns=("7",), deadline_unix=5.0)
    write_block_file(home, parameters)
    assert read_block_file(home, "b1") == parameters
    with pytest.raises(WrongUse, match="there is no block b2"):
        read_block_file(home, "b2")


def test_the_guard_is_told_everything_that_it_understands(home: Home, tmp_path: Path):
    settings = Settings(home=home, worker=WorkerDefaults(idle_s=7, bind="slot", core_limit=-1, tmp_root="/scratch"))
    place = Place(node="c101", python="/py", venv="/venv", log_dir=tmp_path)
    argv = guard_argv(guard_settings(settings, BlockFile(block="b1", site="s", slots=3, campaigns=("7",)), place), place)
    assert argv[:4] == ["/py", "-I", "-m", "tasks.guard"]
    guard = GuardSettings.from_json(argv[4])
    assert (guard.slots, guard.bind, guard.core_limit, guard.tmp_root, guard.venv) == (3, "slot", None, "/scratch", "/venv")
    assert guard.worker_argv[:4] == ("/py", "-I", "-m", "tasks.worker")
    worker = WorkerSettings.from_json(guard.worker_argv[4])
    assert (worker.home, worker.campaigns, worker.idle_s, worker.slots, worker.site) == (str(home.root), ("7",), 7, 3, "s")


def test_a_worker_of_an_unknown_block_is_wrong_use(nunatak: Command):
    assert nunatak("worker", "--block", "nobody").code == 2


# -- the command ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "say which jobfiles"),
        (("/a", "-s", "/b"), "give one directory"),
        (("-s", "/a", "-f", "nowhere"), "no site is called 'nowhere'"),
        (("/a", "--slots", "0"), "0 is not in the range"),
    ],
)
def test_wrong_use_is_said_before_anything_is_started(tmp_path: Path, words, expected):
    said = call(tmp_path / "home", "run", *words)
    assert said.code == 2
    assert expected in said.err
    assert not (tmp_path / "home").exists()


def test_the_first_signal_is_noted_and_the_second_one_leaves():
    with Interrupts() as interrupts:
        assert not interrupts.asked
        os.kill(os.getpid(), signal.SIGTERM)
        interrupts.sleep(30)
        assert interrupts.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_must_be_begun_before_anybody_leaves_is_not_cut_short():
    begun: list[str] = []

    def begin(interrupts: Interrupts) -> None:
        with interrupts.held():
            os.kill(os.getpid(), signal.SIGINT)
            begun.append("all of it")

    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            begin(interrupts)
    assert begun == ["all of it"]


# -- whole runs -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with machine_in(tmp_path) as made:
        yield made


def test_a_directory_runs_to_its_end_and_the_next_run_starts_no_block(machine: Machine):
    for name in "ABCD":
        machine.write(name, "sleep 0.1; echo $NUNATAK_CAMPAIGN $NUNATAK_ATTEMPT")
    first = machine.run("--campaign", "whole")
    assert (first.returncode, first.stderr.splitlines()[-1]) == (0, "whole 100%: 4 of 4 done"), first.stderr
    assert "whole 0%: 0 of 4 done, 4 waiting" in first.stderr
    assert first.stdout.splitlines()[1].split() == ["done", "4"]
    assert (machine.folder / "qsub_A.sh.out").read_text() == "whole 1\n"
    assert len(machine.blocks()) == 1
    again = machine.run("--campaign", "whole")
    assert again.returncode == 0
    assert len(machine.blocks()) == 1
    # What the command has started is gone when it ends, the broker included.
    assert machine.processes() == []
    assert "it was stopped on" in call(machine.home.root, "broker", "status").out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_hands_back_at_once_and_the_same_command_goes_on(machine: Machine, number: int, wait_until: Callable[..., Any]):
    machine.write("A", "sleep 300")
    child = machine.start()
    wait_until(lambda: machine.is_running("A"), 20, "the jobfile to run")
    child.send_signal(number)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (130, ""), err
    assert "interrupted: ending 1 running jobfiles, which will wait again" in err
    assert err.splitlines()[-1] == f"0 of 1 are done. To go on: nunatak run {machine.folder}"
    assert machine.processes() == []
    assert call(machine.home.root, "status", "--json").json["queued"] == 1
    machine.write("A", "echo the new text")
    assert machine.run().returncode == 0
    assert (machine.folder / "qsub_A.sh.out").read_text() == "the new text\n"


def test_a_second_signal_leaves_at_once_and_loses_nothing(machine: Machine, wait_until: Callable[..., Any]):
    machine.environ["NUNATAK_WORKER_TERM_GRACE_S"] = "4"
    machine.write("A", "trap '' TERM; sleep 300 & while :; do wait; sleep 0.1; done")
    child = machine.start()
    wait_until(lambda: machine.is_running("A"), 20, "the jobfile to run")
    child.send_signal(signal.SIGINT)
    machine.wait_for(child, "interrupted: ")
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=3)
    assert child.returncode == 130
    wait_until(lambda: not machine.processes(), 20, "the block to end by itself")
    assert call(machine.home.root, "status", "--json").json["queued"] == 1


def test_the_block_of_a_killed_run_is_adopted(machine: Machine, wait_until: Callable[..., Any]):
    machine.write("A", f"until [ -e {machine.folder}/go ]; do sleep 0.1; done")
    child = machine.start()
    wait_until(lambda: machine.is_running("A"), 20, "the jobfile to run")
    child.kill()
    child.communicate()
    second = machine.start()
    machine.wait_for(second, "which is at work already")
    (machine.folder / "go").touch()
    second.communicate(timeout=30)
    assert second.returncode == 0
    assert len(machine.blocks()) == 1
    assert machine.processes() == []


def test_a_campaign_that_pauses_ends_the_run_with_reason_and_remedy(machine: Machine):
    for number in range(8):
        machine.write(f"{number}", "exit 7")
    said = machine.run("--campaign", "bad-module", "--retries", "0")
    assert said.returncode == 1
    assert "bad-module is paused: 5 jobfiles in a row failed: exit code 7" in said.stderr
    assert "nunatak resume bad-module" in said.stderr
    assert "  exit code 7\n" in said.stdout
    again = machine.run("--campaign", "bad-module")
    assert again.returncode == 1
    assert len(machine.blocks()) == 1


def test_what_failed_is_named_with_its_reason_and_its_log(machine: Machine):
    machine.write("good", "echo ok")
    machine.write("bad", "echo broken >&2; exit 3")
    said = machine.run("--retries", "1")
    assert said.returncode == 1
    bad = machine.folder / "qsub_bad.sh"
    assert f"failed: {bad}\n  exit code 3, attempt 2\n  {bad}.err\n" in said.stdout


def test_a_worker_that_never_comes_up_is_talked_about_once(settings: Settings, queue: Queue):
    queue.add("silent", "a.sh")
    session, notes, now = Session(settings), [], [0.0]

    class Told(PlainProgress):
        def note(self, text: str) -> None:
            notes.append(text)

    found = queue.broker.ledger.campaign("silent")
    assert found is not None
    own = OwnBlock(session, Site(name="local"), "silent", found.number)
    running = Running(session, "silent", own, Told(tell=lambda _: None), Interrupts(), clock=lambda: now[0])
    assert running.run_once() is Next.SUBMIT
    own.block = block(block_id="silent-1", process=here(), submitted_at=time.time())
    running._silent_since = 0.0
    for at in (19.0, 21.0, 60.0):
        now[0] = at
        running.run_once()
    assert len(notes) == 1
    assert str(own.log_file) in notes[0]
    session.close()


def test_blocks_that_die_are_replaced_twice_and_their_words_shown(machine: Machine):
    machine.write("A", "echo ok")
    machine.environ["NUNATAK_WORKER_LOG_DIR"] = str(machine.folder / "qsub_A.sh")
    said = machine.run()
    assert said.returncode == 3
    assert said.stderr.count(" died: its script ended with exit code ") == 3
    assert "qsub_A.sh is not a folder of ours" in said.stderr
    assert "3 blocks in a row have ended" in said.stderr
    assert len(machine.blocks()) == 3
