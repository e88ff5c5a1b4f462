"""docs/cluster.md followed by an ordinary user: every command of ours on the page, in its order, on a real cluster."""

import os
import re
import shlex
from pathlib import Path

import pytest
from cluster.slurm_cluster import Cluster
from cluster.user import UID

from nunatak.samples import write_samples

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
PROGRAMS = ("nunatak", "enqueue-jobfiles")
#: What the page says to edit in the copied site, and what this small cluster needs.
_EDITS = {
    "max_workers": "2", "walltime": '"00:30:00"', "nodes_per_block": "1", "cores_per_node": "2", "poll_every_s": "1",
}  # fmt: skip
#: Commands that stay until Ctrl-C.
_STAYS = ("nunatak blocks scale -f mine --min 0 --max 8 --max-su 2000", "nunatak blocks scale -f mine --min 0 --max 8")
#: Commands whose exit code says something else than that they were understood: of several jobfiles, `log` asks which.
_MAY_END_WITH = {"nunatak log qsub_WV03_2018 -f": (0, 2)}

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]


def page_lines() -> list[str]:
    """The shell lines of the page without their comments, in order."""
    fences = re.findall(r"^ *```sh\n(.*?)^ *```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = (re.sub(r"\s+#.*$", "", line.strip()) for fence in fences for line in fence.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def is_ours(line: str) -> bool:
    """Not the installation: that is a clone and a make, which other tests have."""
    return "git clone" not in line and any(program in shlex.split(line.replace("(", " ").replace(";", " ")) for program in PROGRAMS)


def edit(site: Path) -> None:
    text = site.read_text()
    for key, value in _EDITS.items():
        text, count = re.subn(rf"^(# )?{key} = .*$", f"{key} = {value}", text, count=1, flags=re.MULTILINE)
        assert count == 1, key
    site.write_text(text)


def crontab(folder: Path) -> None:
    """The login host's crontab: a file, as far as the page is concerned."""
    program = folder / "crontab"
    program.write_text(f'#!/bin/sh\n[ "$1" = - ] && exec cat > {folder}/tab\ncat {folder}/tab 2>/dev/null\n')
    program.chmod(0o755)


def jobfiles(scratch: Path) -> None:
    """Scenes of 2 m and of 50 cm, of seconds instead of hours."""
    folder = write_samples(scratch, count=8, median_s=1.0, sigma=0.3, max_s=3.0, seed=1)
    other = folder.parent / "50cm"
    other.mkdir()
    for number, script in enumerate(sorted(folder.iterdir())[:3]):
        (other / f"qsub_{number}.sh").write_bytes(script.read_bytes())
        (other / f"qsub_{number}.sh").chmod(0o755)
    for path in [scratch, *scratch.rglob("*")]:
        os.chown(path, UID, UID)


def test_a_new_user_gets_through_with_nothing_but_the_page(new_cluster):
    cluster: Cluster = new_cluster(partitions={"skx": "MaxTime=48:00:00"}, settings={"KillWait": "2"})
    scratch, programs = cluster.home / "scratch", cluster.home / "bin"
    for folder in (scratch, programs):
        folder.mkdir()
    jobfiles(scratch)
    crontab(programs)
    os.chown(programs, UID, UID)
    place, told = "$HOME", []
    for line in page_lines():
        if line.startswith("cd $SCRATCH"):
            place = line.removeprefix("cd ")
        if not is_ours(line):
            continue
        words = line if line not in _STAYS else f"timeout -s INT 15 {line}"
        # The last section stands one folder above.
        here = "$SCRATCH" if " region_03_conus/" in line else place
        shell = ["bash", "-c", f"export PATH={programs}:$PATH; cd {here} && {words}"]
        said = cluster.run("login", shell, env={"SCRATCH": str(scratch)}, timeout=180, input="y\n")
        told.append(f"$ {line}\n{said.stdout}{said.stderr}exit {said.returncode}")
        allowed = (124, 130, 0) if line in _STAYS else _MAY_END_WITH.get(line, (0,))
        assert said.returncode in allowed, "\n".join(told[-4:])
        if line.startswith("nunatak sites copy"):
            edit(cluster.home / ".nunatak" / "sites" / "mine.toml")
        if line.startswith("nunatak wait"):
            assert "all done" in said.stdout
    whole = "\n".join(told)
    assert whole.count("$ ") >= 25, whole
    assert "blocks tick" in (programs / "tab").read_text()
    runs = [line.split() for line in (scratch / "runs.log").read_text().splitlines()]
    assert len([run for run in runs if run[1] == "end"]) >= 8
