"""What a node is told: the block's file, the scheduler's times, and which settings hold."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from broker.home import Home
from launcher.site import Site
from nunatak.block_file import VARIABLE, BlockFile, block_file_of, read_block_file, write_block_file
from nunatak.errors import WrongUse
from nunatak.node import Place, Span, guard_settings, node_settings, span, worker_settings
from nunatak.settings import Settings, WorkerDefaults
from tasks.settings import WorkerSettings

BLOCK = BlockFile(block="b1", site="s", slots=2)
SLURM = Site(name="c", provider="slurm", max_workers=2, walltime="02:00:00", cores_per_node=48, least_charged_min=15, idle_s=60.0)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.create()
    return made


def _place(tmp_path: Path, folder: Path | None = None) -> Place:
    return Place(node="c101", python="/py", venv=None, log_dir=tmp_path, folder=folder)


# -- times ------------------------------------------------------------------------------------------------------------------------------


def test_jobfiles_run_on_until_shortly_before_the_end_that_the_scheduler_says():
    block = replace(BLOCK, walltime_s=7200.0, warn_s=120.0)
    assert span(block, started_at=1000.0, ends_at=9000.0, now=1500.0) == Span(started=1000.0, ends=8970.0, warns=8880.0)


def test_without_the_schedulers_word_the_walltime_counts_from_the_start():
    block = replace(BLOCK, walltime_s=7200.0, warn_s=120.0)
    assert span(block, started_at=1000.0, ends_at=None, now=1500.0) == Span(started=1000.0, ends=8170.0, warns=8080.0)
    assert span(block, started_at=None, ends_at=None, now=1500.0) == Span(started=1500.0, ends=8670.0, warns=8580.0)


def test_a_short_block_keeps_most_of_its_time_for_jobfiles():
    assert span(replace(BLOCK, warn_s=120.0), started_at=0.0, ends_at=300.0, now=1.0) == Span(started=0.0, ends=285.0, warns=270.0)


def test_a_local_block_ends_when_its_file_says_and_one_without_an_end_never():
    assert span(replace(BLOCK, deadline_unix=50.0), started_at=None, ends_at=None, now=10.0) == Span(started=10.0, ends=50.0)
    assert span(BLOCK, started_at=None, ends_at=None, now=10.0) == Span(started=10.0)


def test_guard_and_worker_have_the_same_deadline_and_the_worker_knows_what_is_paid_for(home: Home, tmp_path: Path):
    settings = Settings(home=home)
    block = block_file_of(SLURM, "b1", settings, campaigns=("3",))
    times = Span(started=1000.0, ends=8080.0, warns=7990.0)
    guard, worker = guard_settings(settings, block, _place(tmp_path), times), worker_settings(settings, block, _place(tmp_path), times)
    assert guard.deadline_unix == worker.deadline_unix == 8080.0
    assert (guard.warn_unix, guard.warned_s) == (7990.0, SLURM.warn_s - 30.0)
    assert (worker.stay_until_unix, worker.idle_s, worker.campaigns, worker.slots) == (1900.0, 60.0, ("3",), 2)
    assert guard.min_cpus == 48
    assert WorkerSettings.from_json(worker.to_json()) == worker


# -- the block's file -------------------------------------------------------------------------------------------------------------------


def test_a_blocks_file_holds_the_settings_of_its_submission(home: Home):
    settings = Settings(home=home, worker=WorkerDefaults(term_grace_s=7, bind="slot"))
    write_block_file(home, block_file_of(SLURM, "b1", settings))
    block = read_block_file(home, "b1")
    assert node_settings(home, block, None) == settings
    # What the node's own file or environment says now counts for blocks without.
    other = Settings(home=home, worker=WorkerDefaults(term_grace_s=1))
    assert node_settings(home, block, other).worker.term_grace_s == 7
    assert node_settings(home, replace(block, worker=None), other) == other


def test_a_block_of_another_version_is_refused(home: Home):
    with pytest.raises(WrongUse, match=r"another version of nunatak .*'colour'.* submit another block"):
        node_settings(home, replace(BLOCK, worker={"colour": 1}), None)


def test_the_end_of_a_block_of_a_cluster_is_not_known_at_its_submission_and_that_of_a_local_one_is(home: Home):
    settings = Settings(home=home)
    assert block_file_of(SLURM, "b1", settings).deadline_unix is None
    assert block_file_of(replace(SLURM, provider="local"), "b1", settings).deadline_unix is not None


def test_a_site_of_a_cluster_must_say_how_many_jobfiles_run_at_once(home: Home):
    with pytest.raises(WrongUse, match="add max_workers"):
        block_file_of(replace(SLURM, max_workers=None, cores_per_node=None), "b1", Settings(home=home))


def test_a_node_takes_the_parameters_that_its_script_hands_it_and_opens_no_file(home: Home):
    write_block_file(home, replace(BLOCK, campaigns=("7", "8")))
    path = home.blocks_dir / "b1.json"
    text = path.read_text()
    path.unlink()
    assert read_block_file(home, "b1", {VARIABLE: text}).campaigns == ("7", "8")
    with pytest.raises(WrongUse, match="there is no block b1"):
        read_block_file(home, "b1", {VARIABLE: ""})
    with pytest.raises(WrongUse, match=r"\$NUNATAK_BLOCK_FILE is of block b1, and this is b2"):
        read_block_file(home, "b2", {VARIABLE: text})


@pytest.mark.parametrize("text", ["[]", "{", json.dumps({"block": "b1", "site": "s", "slots": 2, "colour": 1}), "null"])
def test_a_file_that_cannot_be_understood_is_named(home: Home, text: str):
    (home.blocks_dir / "b1.json").write_text(text)
    with pytest.raises(WrongUse, match=r"blocks/b1.json cannot be understood .* submit another block"):
        read_block_file(home, "b1")


# -- command lines ----------------------------------------------------------------------------------------------------------------------


def test_from_an_unpacked_archive_guard_and_worker_run_from_it_too_and_the_guard_removes_it(home: Home, tmp_path: Path):
    place = _place(tmp_path, Path("/dev/shm/nunatak-1-b1.x"))
    guard = guard_settings(Settings(home=home), replace(BLOCK, venv="/venv"), place)
    assert place.command("tasks.guard", "{}") == ("/py", "-I", "-S", "/dev/shm/nunatak-1-b1.x", "tasks.guard", "{}")
    assert guard.worker_argv[:5] == ("/py", "-I", "-S", "/dev/shm/nunatak-1-b1.x", "tasks.worker")
    assert (guard.own_folder, guard.venv) == ("/dev/shm/nunatak-1-b1.x", "/venv")
