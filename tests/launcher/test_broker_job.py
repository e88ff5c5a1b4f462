"""The broker's batch job: submitted once, found again, never counted as a block of workers."""

import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from broker.home import Home
from launcher.block import Block, BlockState
from launcher.broker_job import BrokerJobLives, broker_site, by_its_files, last_job, look, serve_command, submit_broker
from launcher.errors import LauncherError, SubmitFailed
from launcher.job_file import JobFile
from launcher.site import Site

SITE = Site(name="main", provider="slurm", partition="main", walltime="02:00:00", nodes_per_block=4, max_nodes=8)
#: What a cluster does, in a folder: sbatch adds a job, scancel ends one, squeue tells of all.
_PROGRAMS = {
    "sbatch": """
[ -e "$here/refuses" ] && { cat "$here/refuses" >&2; exit 1; }
for script; do :; done
name=$(sed -n 's/^#SBATCH --job-name=//p' "$script")
id=$(( $(ls "$here/jobs" | wc -l) + 17 ))
cp "$script" "$here/script"
echo "PENDING $name" > "$here/jobs/$id"
echo "Submitted batch job $id"
""",
    "squeue": """
[ -e "$here/silent" ] && { echo "squeue: error: Unable to contact slurm controller" >&2; exit 1; }
echo '<nunatak|JOBID|STATE|REASON|PARTITION|START_TIME|END_TIME|NAME|nunatak>'
for job in "$here"/jobs/*; do
  [ -e "$job" ] || continue
  read -r state name < "$job"
  echo "<nunatak|$(basename "$job")|$state|Priority|main|N/A|N/A|$name|nunatak>"
done
""",
}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Slurm's commands as a small cluster answers them; its jobs are files in `jobs`."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "bin").mkdir()
    for name, text in _PROGRAMS.items():
        program = tmp_path / "bin" / name
        program.write_text(f"#!/bin/bash\nhere={tmp_path}\n{text}")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path


def jobs(cluster: Path) -> list[str]:
    return sorted(os.listdir(cluster / "jobs"))


def say_of_job(cluster: Path, job_id: str, state: str) -> None:
    path = cluster / "jobs" / job_id
    path.write_text(f"{state} {path.read_text().split()[1]}\n")


def submit(home: Home) -> Block:
    return submit_broker(broker_site(SITE), home)


def test_the_job_has_one_node_and_runs_the_broker_in_a_blocks_script(home: Home, cluster: Path):
    job = submit(home)
    assert (job.job_id, job.state, job.nodes) == ("17", BlockState.WAITING, 1)
    script = (cluster / "script").read_text()
    assert "#SBATCH --nodes=1\n" in script
    assert "#SBATCH --time=02:00:00\n" in script
    assert "broker serve --move" in (home.blocks_dir / job.block_id / "node.sh").read_text()
    assert " worker --block " not in " ".join(serve_command(job.block_id))


def test_a_walltime_of_ones_own_must_fit_the_site():
    assert broker_site(SITE, "01:00:00").walltime == "01:00:00"
    with pytest.raises(LauncherError, match=r"broker needs a job of one node.*min_nodes=3"):
        broker_site(replace(SITE, min_nodes=3))
    with pytest.raises(LauncherError, match="max_walltime"):
        broker_site(replace(SITE, max_walltime="03:00:00"), "04:00:00")


@pytest.mark.usefixtures("cluster")
def test_it_is_recorded_in_its_folder_and_for_its_owner_only(home: Home):
    assert last_job(home) is None
    job = submit(home)
    assert last_job(home) == job
    (record,) = home.blocks_dir.glob("*/job.json")
    assert (record.stat().st_mode & 0o777, json.loads(record.read_text())["job_id"]) == (0o600, "17")


@pytest.mark.usefixtures("cluster")
def test_its_own_files_tell_how_it_is_without_a_question_to_the_scheduler(home: Home):
    job = submit(home)
    folder = home.blocks_dir / job.block_id
    assert by_its_files(job, home).state is BlockState.WAITING
    (folder / "started").write_text("job_id=17\nhost=n1\nstarted_at=5\nends_at=\n")
    assert by_its_files(job, home).state is BlockState.RUNNING
    (folder / "ended").write_text("exit_code=0\nended_at=9\nbad_nodes=\n")
    assert by_its_files(job, home).state.is_over


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETING", "SOMETHING_NEW"])
def test_it_is_not_submitted_again_while_it_may_live(home: Home, cluster: Path, state):
    submit(home)
    say_of_job(cluster, "17", state)
    with pytest.raises(BrokerJobLives, match="job 17"):
        submit(home)
    assert jobs(cluster) == ["17"]


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "TIMEOUT", "CANCELLED"])
def test_it_is_submitted_again_once_it_is_over(home: Home, cluster: Path, state):
    first = submit(home)
    say_of_job(cluster, "17", state)
    second = submit(home)
    assert second.job_id == "18"
    assert second.block_id != first.block_id
    assert last_job(home) == second


def test_a_scheduler_that_is_silent_has_not_said_that_it_is_over(home: Home, cluster: Path):
    submit(home)
    (cluster / "silent").touch()
    with pytest.raises(BrokerJobLives, match=r"nobody can say whether it lives: squeue ended with 1.*Unable to contact"):
        submit(home)
    assert jobs(cluster) == ["17"]


@pytest.mark.usefixtures("cluster")
def test_a_submitter_that_died_before_it_had_a_number_is_found_by_its_jobs_name(home: Home):
    job = submit(home)
    JobFile(home).record_block(job.block_id, replace(job, job_id="", state=BlockState.INTENDED).to_fields())
    with pytest.raises(BrokerJobLives, match="job 17"):
        submit(home)
    assert (last_job(home) or job).job_id == "17"


def test_a_submitter_that_died_before_it_wrote_anything_is_waited_for(home: Home, cluster: Path):
    job = submit(home)
    (home.blocks_dir / job.block_id / "job.json").unlink()
    (cluster / "jobs" / "17").unlink()
    for _ in range(2):
        with pytest.raises(BrokerJobLives, match=r"after ten minutes.*rm -r"):
            submit(home)
    later = (last_job(home) or job).submitted_at + 3600
    missing = last_job(home)
    assert missing is not None
    assert look(missing, home, clock=lambda: later)[0].state.is_over


def test_a_refusal_is_over_at_once(home: Home, cluster: Path):
    said = "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified\n"
    (cluster / "refuses").write_text(said)
    with pytest.raises(SubmitFailed, match="Invalid account"):
        submit(home)
    (cluster / "refuses").unlink()
    assert submit(home).job_id == "17"


def test_two_that_submit_at_once_submit_one_job(home: Home, cluster: Path):
    said: list[object] = []

    def try_it() -> None:
        try:
            said.append(submit(home))
        except LauncherError as error:
            said.append(error)

    threads = [threading.Thread(target=try_it) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [isinstance(answer, Block) for answer in said].count(True) == 1, said
    assert jobs(cluster) == ["17"]


@pytest.mark.usefixtures("cluster")
def test_jobs_of_two_homes_have_different_names(tmp_path: Path):
    names = set()
    for name in ("one", "two"):
        home = Home(tmp_path / name)
        names.add(submit(home).block_id)
    assert len(names) == 2


@pytest.mark.usefixtures("cluster")
def test_a_torn_record_counts_as_an_intent(home: Home):
    job = submit(home)
    (home.blocks_dir / job.block_id / "job.json").write_text("{")
    assert (last_job(home) or job).state is BlockState.INTENDED
