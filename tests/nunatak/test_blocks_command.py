"""`nunatak blocks` with a scheduler whose every word is known: what is submitted, what is shown, and what is refused."""

import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_scheduler import FakeScheduler, forget_everything
from filled_queue import Command, Queue

from broker.start import ensure_broker, stop_broker
from nunatak.session import for_nodes
from nunatak.settings import Settings

SITE = """
provider = "slurm"
partition = "main"
walltime = "24:00:00"
nodes_per_block = 4
max_workers = 2
poll_every_s = {poll}
least_charged_min = 15
max_submitted = 10
cmd_timeout_s = 20
"""
KEYS = (
    "block job_id site campaigns state nodes nodes_up slots running submitted_at started_at ends_at remaining_s reason su_max su"
)


@pytest.fixture
def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeScheduler:
    made = FakeScheduler(tmp_path)
    monkeypatch.setenv("PATH", f"{made.folder}:{os.environ['PATH']}")
    return made


@pytest.fixture(autouse=True)
def _loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a test is open to other hosts."""
    monkeypatch.setattr("nunatak.cli.blocks.for_nodes", lambda settings: settings)


@pytest.fixture(autouse=True)
def clean_home(settings: Settings, queue: Queue) -> Iterator[None]:
    """No blocks, wishes, campaigns of an earlier test; a site `here`, whose scheduler may always be asked."""
    (settings.home.root / "sites").mkdir(exist_ok=True)
    write_site(settings)
    yield
    forget_everything(queue.broker)


def write_site(settings: Settings, name: str = "here", poll: float = 0.001, **keys: str) -> None:
    text = SITE.format(poll=poll) + "".join(f"{key} = {value}\n" for key, value in keys.items())
    (settings.home.root / "sites" / f"{name}.toml").write_text(text)


def listed(nunatak: Command, *words: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in nunatak("blocks", "list", "--json", *words).out.splitlines()]


# -- submit -----------------------------------------------------------------------------------------------------------------------------


def test_submit_says_what_it_costs_submits_and_prints_the_blocks(nunatak: Command, scheduler, settings):
    said = nunatak("blocks", "submit", "2", "-f", "here", "--yes")
    assert said.code == 0, said
    assert "2 blocks of 4 nodes for at most 24:00:00 on here: 192 SU at most" in said.err
    names = said.out.split()
    assert sorted(names) == sorted(scheduler.block_of(i) for i in scheduler.ids)
    assert all((settings.home.blocks_dir / f"{name}.json").is_file() for name in names)


def test_what_is_dear_is_asked_about_and_refused_where_nobody_can_answer(nunatak: Command, scheduler):
    said = nunatak("blocks", "submit", "2", "-f", "here")
    assert said.code == 2
    assert "may cost more than confirm_su, 100 SU" in said.err
    assert "give --yes" in said.err
    # 96 SU are not.
    assert nunatak("blocks", "submit", "1", "-f", "here").code == 0
    assert scheduler.calls("sbatch") == 1


def test_max_su_refuses_what_could_cost_more(nunatak: Command, scheduler):
    said = nunatak("blocks", "submit", "2", "-f", "here", "--yes", "--max-su", "191")
    assert (said.code, scheduler.calls("sbatch")) == (2, 0)
    assert "192 SU at most, more than --max-su 191; nothing was submitted" in said.err


def test_a_submission_keeps_to_the_sites_limits_with_jobs_that_are_not_ours(nunatak: Command, scheduler):
    assert list(scheduler.add_others(7))
    said = nunatak("blocks", "submit", "4", "-f", "here", "--yes")
    assert (said.code, scheduler.calls("sbatch")) == (2, 0)
    assert "lets a user have 10 jobs running or waiting, so 3 blocks more can be submitted now; nothing was submitted" in said.err
    assert nunatak("blocks", "submit", "3", "-f", "here", "--yes").code == 0
    assert nunatak("blocks", "submit", "1", "-f", "here").code == 2


@pytest.mark.parametrize(
    ("squeue", "words"),
    [
        ("exit 0", "squeue answered nothing, not even its header"),
        ("echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1", "Unable to contact slurm controller"),
        ("echo '<html>'", "squeue answered garbage"),
    ],
)
def test_nothing_is_submitted_by_hand_while_the_scheduler_is_silent(nunatak: Command, scheduler, squeue, words):
    scheduler.write("squeue", squeue)
    said = nunatak("blocks", "submit", "1", "-f", "here")
    assert (said.code, scheduler.calls("sbatch")) == (3, 0)
    assert "nothing was submitted to here, because" in said.err
    assert words in said.err


def test_nothing_is_submitted_by_hand_while_an_answer_lacks_a_known_block(nunatak: Command, scheduler):
    (name,) = nunatak("blocks", "submit", "1", "-f", "here").out.split()
    scheduler.forget(scheduler.ids[0])
    said = nunatak("blocks", "submit", "1", "-f", "here")
    assert (said.code, scheduler.calls("sbatch")) == (3, 1)
    assert f"it is not known what became of block {name}: squeue has not mentioned it since" in said.err


def test_a_block_is_bound_to_the_campaigns_that_it_was_submitted_for(nunatak: Command, scheduler, queue, settings):
    number = queue.add("conus-2m", "a.sh")
    (name,) = nunatak("blocks", "submit", "1", "-f", "here", "--campaign", "conus-2m").out.split()
    assert json.loads((settings.home.blocks_dir / f"{name}.json").read_text())["campaigns"] == [number]
    assert [line["campaigns"] for line in listed(nunatak)] == [["conus-2m"]]
    assert nunatak("blocks", "submit", "1", "-f", "here", "--campaign", "nowhere").code == 2
    assert len(scheduler.ids) == 1


def test_a_refused_submission_shows_what_sbatch_said_and_leaves_a_block_that_is_over(nunatak: Command, scheduler):
    what = "Batch job submission failed: Invalid account or account/partition combination specified"
    scheduler.write("sbatch", f"echo 'sbatch: error: {what}' >&2; exit 1")
    said = nunatak("blocks", "submit", "2", "-f", "here", "--yes")
    assert (said.code, scheduler.calls("sbatch")) == (3, 1)
    assert what in said.err
    (line,) = listed(nunatak)
    assert (line["state"], line["job_id"], line["su"]) == ("failed", None, 0)


# -- list -------------------------------------------------------------------------------------------------------------------------------


def test_list_has_the_keys_of_the_contract_and_says_in_words_why_a_block_waits(nunatak: Command, scheduler):
    nunatak("blocks", "submit", "1", "-f", "here")
    scheduler.tell(scheduler.ids[0], "PENDING", "Resources")
    (line,) = listed(nunatak)
    assert " ".join(line) == KEYS
    assert (line["state"], line["reason"]) == ("waiting", "it is next, and waits for nodes to become free")
    assert (line["nodes"], line["nodes_up"], line["slots"], line["running"]) == (4, 0, 8, 0)
    assert (line["started_at"], line["remaining_s"], line["su_max"], line["su"]) == (None, None, 96, 0)


def test_list_shows_nodes_what_they_run_the_time_left_and_the_cost(nunatak: Command, scheduler, queue):
    (name,) = nunatak("blocks", "submit", "1", "-f", "here").out.split()
    scheduler.tell(scheduler.ids[0], "RUNNING", started_s_ago=3600)
    for node in ("c1", "c2"):
        queue.renew(f"{node}-w", [], node=node, block=name, slots=2, running=1)
    (line,) = listed(nunatak)
    assert (line["state"], line["nodes_up"], line["running"]) == ("running", 2, 2)
    assert line["remaining_s"] == pytest.approx(23 * 3600, abs=60)
    assert line["su"] == pytest.approx(4.0, abs=0.1)
    text = nunatak("blocks", "list").out.splitlines()
    assert text[0].split() == ["BLOCK", "STATE", "NODES", "RUNNING", "LEFT", "SU", "SITE"]
    assert text[1].split() == [name, "running", "2/4", "2", "23h", "00m", "4.00", "here"]
    assert text[2].strip() == "job 1000"


def test_the_list_for_people_fits_80_columns(nunatak: Command, scheduler, queue, settings):
    queue.add("region_03_conus-2m", "a.sh")
    write_site(settings, "stampede3-skx")
    nunatak("blocks", "submit", "2", "-f", "stampede3-skx", "--campaign", "region_03_conus-2m", "--yes")
    scheduler.tell(scheduler.ids[0], "PENDING", "AssocGrpCPURunMinutesLimit")
    scheduler.tell(scheduler.ids[1], "RUNNING", started_s_ago=60)
    lines = nunatak("blocks", "list").out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "for region_03_conus-2m: what its account has running" in " ".join(line.strip() for line in lines)


def test_list_shows_what_was_last_seen_when_the_scheduler_is_silent(nunatak: Command, scheduler):
    nunatak("blocks", "submit", "1", "-f", "here")
    scheduler.write("squeue", "sleep 1; exit 1")
    said = nunatak("blocks", "list", "--json")
    assert json.loads(said.out)["state"] == "waiting"
    assert "slurm is silent, so this is as it was last seen: squeue ended with 1" in said.err


# -- drain, cancel ----------------------------------------------------------------------------------------------------------------------


def test_drain_lets_a_running_block_finish_and_cancels_one_that_only_waits(nunatak: Command, scheduler):
    running, waits = nunatak("blocks", "submit", "2", "-f", "here", "--yes").out.split()
    jobs = {scheduler.block_of(i): i for i in scheduler.ids}
    scheduler.tell(jobs[running], "RUNNING", started_s_ago=60)
    said = nunatak("blocks", "drain", running, jobs[waits])
    assert f"{running} takes nothing more" in said.err
    assert f"{waits} only waited, and was cancelled" in said.err
    assert {line["block"]: line["state"] for line in listed(nunatak)} == {running: "draining", waits: "cancelled"}


def test_cancel_tells_the_scheduler_and_all_ends_the_wishes_too(nunatak: Command, scheduler, queue):
    queue.add("conus-2m", *(f"{n}.sh" for n in range(20)))
    assert nunatak("blocks", "scale", "-f", "here", "--max", "2", "--once", "--yes").code == 0
    assert len(scheduler.ids) == 2
    said = nunatak("blocks", "cancel", "all")
    assert "the number of blocks on here follows the queue no more" in said.err
    assert said.err.count("was told to end") == 2
    nunatak("blocks", "tick")
    assert len(scheduler.ids) == 2
    assert {line["state"] for line in listed(nunatak)} == {"cancelled"}


@pytest.mark.usefixtures("scheduler")
def test_a_block_that_nobody_knows_is_an_error(nunatak: Command):
    said = nunatak("blocks", "drain", "b-none")
    assert (said.code, "there is no block b-none" in said.err) == (2, True)


# -- scale, tick ------------------------------------------------------------------------------------------------------------------------


def test_scale_submits_what_the_queue_needs_and_tick_goes_on_with_it(nunatak: Command, scheduler, queue):
    queue.add("conus-2m", *(f"{n}.sh" for n in range(9)))
    said = nunatak("blocks", "scale", "-f", "here", "--max", "10", "--once", "--yes")
    assert "here follows the queue with 0 to 10 blocks" in said.err
    assert len(scheduler.ids) == 2
    assert nunatak("blocks", "tick").err == ""
    assert len(scheduler.ids) == 2
    queue.add("conus-2m", *(f"more{n}.sh" for n in range(8)))
    assert "submitted block" in nunatak("blocks", "tick").err
    assert len(scheduler.ids) == 3


def test_scale_that_is_asked_for_less_than_one_block_ends(nunatak: Command, scheduler, queue):
    nunatak("blocks", "scale", "-f", "here", "--max", "2", "--once", "--yes")
    said = nunatak("blocks", "scale", "-f", "here", "--max", "0")
    assert "follows the queue no more; blocks run on" in said.err
    queue.add("conus-2m", "a.sh")
    nunatak("blocks", "tick")
    assert scheduler.ids == []


def test_the_scheduler_is_asked_only_when_the_sites_poll_period_is_over(nunatak: Command, scheduler, queue, settings):
    write_site(settings, poll=3600)
    queue.add("conus-2m", "a.sh")
    nunatak("blocks", "scale", "-f", "here", "--max", "2", "--once", "--yes")
    asked = scheduler.calls("squeue")
    assert (asked, len(scheduler.ids)) == (1, 1)
    for _ in range(3):
        assert nunatak("blocks", "tick") == nunatak("blocks", "tick")
    assert scheduler.calls("squeue") == asked


def test_a_bound_in_su_holds_over_several_steps_and_a_new_scale(nunatak: Command, scheduler, queue):
    queue.add("conus-2m", *(f"{n}.sh" for n in range(100)))
    wish = ("blocks", "scale", "-f", "here", "--max", "5", "--max-su", "200", "--once", "--yes")
    said = nunatak(*wish)
    assert "another block could cost 96 SU, and all together may cost 200 SU" in said.err
    nunatak(*wish)
    nunatak("blocks", "tick")
    assert len(scheduler.ids) == 2


def test_silence_is_told_once_and_recorded_until_it_is_over(nunatak: Command, scheduler, queue):
    queue.add("conus-2m", "a.sh")
    scheduler.write("squeue", "exit 0")
    first = nunatak("blocks", "scale", "-f", "here", "--max", "2", "--once", "--yes")
    assert "nothing more is submitted on here, because squeue answered nothing" in first.err
    assert nunatak("blocks", "tick").err == ""
    notice = nunatak("status").out
    assert re.search(r"! nothing is submitted on here since \d\d:\d\d, because squeue answered nothing", " ".join(notice.split()))
    scheduler.heal()
    said = nunatak("blocks", "tick").err
    assert "submitted block" in said
    assert "blocks are submitted on here again" in said
    assert "because" not in nunatak("status").out


def test_the_predecessors_failure_5_half_an_answer_submits_nothing(nunatak: Command, scheduler, queue):
    queue.add("conus-2m", *(f"{n}.sh" for n in range(100)))
    nunatak("blocks", "scale", "-f", "here", "--max", "4", "--once", "--yes")
    assert len(scheduler.ids) == 4
    for job_id in scheduler.ids[:2]:
        scheduler.forget(job_id)
    for _ in range(3):
        nunatak("blocks", "tick")
    assert scheduler.calls("sbatch") == 4
    assert sorted(str(line["state"]) for line in listed(nunatak)) == ["unknown", "unknown", "waiting", "waiting"]


def test_a_block_that_dies_at_once_shows_its_own_words_and_makes_the_next_wait(nunatak: Command, scheduler, queue, settings):
    queue.add("conus-2m", *(f"{n}.sh" for n in range(100)))
    nunatak("blocks", "scale", "-f", "here", "--max", "1", "--once", "--yes")
    (job,) = scheduler.ids
    name = scheduler.block_of(job)
    (settings.home.blocks_dir / name / f"{name}.out").write_text("module: command not found\n")
    scheduler.tell(job, "FAILED", "NonZeroExitCode", started_s_ago=5, ended=True)
    said = nunatak("blocks", "tick").err
    assert "module: command not found" in said
    assert f"nothing more is submitted on here, because the last block, {name}, died young" in said
    assert scheduler.calls("sbatch") == 1
    # A person says go.
    assert "here: blocks are submitted again" in nunatak("blocks", "resume", "here").err
    nunatak("blocks", "tick")
    assert scheduler.calls("sbatch") == 2


def test_three_young_deaths_pause_the_site_until_a_person_says_go(nunatak: Command, scheduler, queue):
    queue.add("conus-2m", *(f"{n}.sh" for n in range(100)))
    nunatak("blocks", "scale", "-f", "here", "--max", "3", "--once", "--yes")
    for job in scheduler.ids:
        scheduler.tell(job, "FAILED", "NonZeroExitCode", started_s_ago=5, ended=True)
    said = nunatak("blocks", "tick").err
    assert "because 3 blocks in a row died young" in said
    assert "nunatak blocks resume here" in said
    # The ledger itself refuses, whoever asks.
    by_hand = nunatak("blocks", "submit", "1", "-f", "here")
    assert (by_hand.code, "paused" in by_hand.err) == (2, True)
    nunatak("blocks", "resume")
    nunatak("blocks", "tick")
    assert scheduler.calls("sbatch") == 6


def test_a_local_site_needs_no_scale(nunatak: Command):
    said = nunatak("blocks", "scale", "-f", "local", "--max", "2")
    assert (said.code, "nunatak run DIR" in said.err) == (2, True)


def test_a_site_that_bounds_nothing_must_be_told_a_maximum(nunatak: Command, settings):
    text = SITE.format(poll=1).replace("max_submitted = 10\n", "")
    (settings.home.root / "sites" / "boundless.toml").write_text(text)
    said = nunatak("blocks", "scale", "-f", "boundless")
    assert (said.code, "add max_blocks to" in said.err) == (2, True)


@pytest.mark.usefixtures("scheduler")
def test_two_sites_of_one_name_are_not_mixed_up(nunatak: Command, tmp_path):
    nunatak("blocks", "scale", "-f", "here", "--max", "2", "--once", "--yes")
    other = tmp_path / "here.toml"
    other.write_text(SITE.format(poll=1))
    said = nunatak("blocks", "submit", "1", "-f", str(other))
    assert (said.code, "is followed under the name here" in said.err) == (2, True)


# -- tick and cron ----------------------------------------------------------------------------------------------------------------------


def test_tick_is_quiet_without_wishes_and_starts_no_broker_that_was_stopped(nunatak: Command, settings):
    assert nunatak("blocks", "tick") == nunatak("blocks", "tick")
    stop_broker(settings.home, force=True)
    said = nunatak("blocks", "tick")
    assert (said.code, said.out, said.err) == (0, "", "")
    assert nunatak("broker", "status").code == 3
    ensure_broker(settings.home, settings.server, settings.lease)


def test_the_cron_line_is_whole_without_a_login_shell(nunatak: Command, settings, scheduler):
    line = nunatak("blocks", "cron").out.strip()
    assert line.startswith("* * * * * NUNATAK_HOME=")
    words = shlex.split(line.removeprefix("* * * * * "))
    variables = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
    assert variables["NUNATAK_HOME"] == str(settings.home.root)
    assert str(scheduler.folder) in variables["PATH"].split(":")
    python, isolated, program, *rest = words[len(variables):]
    assert Path(python).is_absolute()
    assert (isolated, Path(program).name, rest) == ("-I", "nunatak", ["blocks", "tick"])


def test_a_broker_for_nodes_listens_on_all_interfaces(settings: Settings):
    assert (settings.server.bind, for_nodes(settings).server.bind) == ("loopback", "all")
