"""`nunatak blocks submit`, `list`, `drain` and `cancel` with a scheduler whose every word is known."""

import json

import pytest
from blocks_world import clean_home, listed, loopback, write_site  # noqa: F401  # fixtures
from filled_queue import Command

KEYS = (
    "block job_id site campaigns state nodes nodes_up slots running submitted_at started_at ends_at remaining_s reason su_max su"
)


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
