"""The text of a Slurm block's scripts."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.errors import BadTemplate, SubmitFailed
from launcher.order import Order
from launcher.site import Site
from launcher.slurm_block import write_script
from launcher.slurm_script import block_script, node_script, options

SITE = Site(
    name="s", provider="slurm", nodes_per_block=4, walltime="2-00:00:00", partition="normal", account="A-1", qos="q", constraint="a&b"
)
FOLDER = Path("/users/it's a \"home\" $HOME `x` é;&*/blocks/b1")
ORDER = Order(command=("/x y/python", "-I", "worker's"), home=Path("/users/o'x"))


def test_the_options_that_keep_a_block_alive_stand_in_every_script():
    lines = options(SITE, "b1", FOLDER)
    for line in ("--no-kill", "--no-requeue", "--exclusive", "--signal=USR1@120", "--job-name=b1", "--nodes=4", "--ntasks-per-node=1"):
        assert f"#SBATCH {line}" in lines
    assert not [line for line in lines if any(word in line for word in ("--export", "--mem", "--nodelist", "--exclude", "--array", " -c"))]


def test_the_sites_own_words_are_options_and_empty_ones_are_left_out():
    lines = options(replace(SITE, scheduler_options="#SBATCH --mail-type=END\n#SBATCH -d singleton"), "b1", FOLDER)
    assert {"#SBATCH --partition=normal", "#SBATCH --account=A-1", "#SBATCH --qos=q", '#SBATCH --constraint="a&b"'} < set(lines)
    assert lines[-2:] == ["#SBATCH --mail-type=END", "#SBATCH -d singleton"]
    bare = options(Site(name="s", provider="slurm", warn_s=0), "b1", FOLDER)
    assert not [line for line in bare if line.endswith("=") or "--time" in line or "--signal" in line or "--partition" in line]


@pytest.mark.parametrize(("walltime", "text"), [("48:00:00", "48:00:00"), ("2-00:00:30", "48:00:30"), ("00:01:00", "00:01:00")])
def test_the_walltime_is_ours_and_not_what_parsl_makes_of_it(tmp_path, walltime, text):
    folder = tmp_path / "b1"
    folder.mkdir()
    script = write_script(replace(SITE, walltime=walltime), "b1", folder)
    assert f"#SBATCH --time={text}\n" in script.read_text()


def test_the_scripts_are_shell_whatever_the_names_are(tmp_path):
    folder = tmp_path / FOLDER.name / "b1 é'\"$x`"
    folder.mkdir(parents=True)
    script = write_script(replace(SITE, worker_init="module load gdal", constraint=""), "b1", folder)
    node = tmp_path / "node.sh"
    node.write_text(node_script(SITE, "b1", ORDER))
    for file in (script, node):
        assert subprocess.run(["bash", "-n", str(file)], capture_output=True, text=True, timeout=30).stderr == ""
    assert script.stat().st_mode & 0o777 == 0o600
    assert "module load gdal\n" in script.read_text()


@pytest.mark.parametrize("name", ["a\nb", "a\\b", "50%j"])
def test_a_name_that_sbatch_does_not_take_is_refused_before_anything_is_submitted(name):
    with pytest.raises(SubmitFailed, match="which sbatch does not take; set NUNATAK_HOME to one without") as caught:
        block_script(SITE, "b1", Path("/") / name / "b1", "")
    assert caught.value.refused


def test_the_node_part_ends_in_exec_and_exports_nothing():
    text = node_script(SITE, "b1", ORDER)
    assert text.rstrip().splitlines()[-2].startswith("exec env NUNATAK_HOME=")
    assert "export" not in text.replace("exported", "")


def test_a_node_starts_the_command_where_there_is_no_archive_and_knows_the_blocks_end(tmp_path):
    out = tmp_path / "out"
    order = Order(command=("/bin/sh", "-c", f'echo "$NUNATAK_HOME $NUNATAK_BLOCK_STARTED $NUNATAK_BLOCK_ENDS" > {out}'), home=Path("/h"))
    script = tmp_path / "node.sh"
    script.write_text(node_script(replace(SITE, node_init="set -eu"), "b1", order))
    subprocess.run(["bash", str(script), "100", "200"], check=True, timeout=30)
    assert out.read_text() == "/h 100 200\n"
    subprocess.run(["bash", str(script), "100", ""], check=True, timeout=30)
    assert out.read_text() == f"/h 100 {100 + 2 * 86_400}\n"
    script.write_text(node_script(replace(SITE, walltime=""), "b1", order))
    subprocess.run(["bash", str(script), "100", ""], check=True, timeout=30)
    assert out.read_text() == "/h 100 \n"


def test_a_users_own_template_is_used_and_must_ask_for_everything(tmp_path):
    own = tmp_path / "own.sh"
    own.write_text("#!/bin/bash\n@{options}\n# @{block_id} @{site} @{folder} @{walltime_s}\n@{worker_init}\n@{node_part}\n")
    assert block_script(replace(SITE, block_template=str(own)), "b1", Path("/f"), "THE NODES").endswith("THE NODES\n")
    own.write_text("#!/bin/bash\n@{options}\n")
    with pytest.raises(BadTemplate, match=r"own\.sh:1: @\{block_id\} is missing"):
        block_script(replace(SITE, block_template=str(own)), "b1", Path("/f"), "")
