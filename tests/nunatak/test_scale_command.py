"""`nunatak blocks scale`, `tick`, `resume` and `cron` with a scheduler whose every word is known."""

import re
import shlex
from pathlib import Path

import pytest
from blocks_world import SITE, clean_home, listed, loopback, write_site  # noqa: F401  # fixtures
from filled_queue import Command

from broker.start import ensure_broker, stop_broker
from nunatak.session import for_nodes
from nunatak.settings import Settings

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


def test_a_refused_submission_is_told_once_and_then_waits(nunatak: Command, scheduler, queue):
    queue.add("conus-2m", "a.sh")
    what = "Batch job submission failed: Invalid account or account/partition combination specified"
    scheduler.write("sbatch", f"echo 'sbatch: error: {what}' >&2; exit 1")
    said = nunatak("blocks", "scale", "-f", "here", "--max", "1", "--once", "--yes").err
    assert said.count("Invalid account") == 1
    assert nunatak("blocks", "tick").err == ""
    assert scheduler.calls("sbatch") == 1


def test_a_block_that_nobody_is_in_any_more_is_cancelled(nunatak: Command, scheduler, queue):
    """Its batch host is dead, its other nodes have left, and Slurm would charge it until its walltime."""
    queue.add("conus-2m", "a.sh")
    nunatak("blocks", "scale", "-f", "here", "--max", "1", "--once", "--yes")
    scheduler.tell(scheduler.ids[0], "RUNNING", started_s_ago=7200)
    ledger, (line,) = queue.broker.ledger, listed(nunatak)
    ledger.record_block(str(line["block"]), {"heard_at": "1"})
    nunatak("blocks", "tick")
    assert ledger.blocks()[0].fields["quiet_since"]
    ledger.record_block(str(line["block"]), {"quiet_since": f"{ledger.now_s() - 3600:.3f}"})
    # The broker itself has not been there for so long.
    nunatak("blocks", "tick")
    assert scheduler.calls("scancel") == 0
    queue.broker.client.hset("beat", "grace_until", "0")
    assert "nobody is in it any more: cancelled" in nunatak("blocks", "tick").err
    assert scheduler.calls("scancel") == 1


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
