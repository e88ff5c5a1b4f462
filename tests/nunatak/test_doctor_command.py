"""`nunatak doctor` as a user calls it: this host, a real broker, a test job on this machine, and Slurm's commands as they answer."""

import os
import stat
import sys
from pathlib import Path

import pytest
from filled_queue import Queue, call

from broker.home import Home
from nunatak.doctor import host_facts
from nunatak.settings import Settings

#: Checks that depend on nothing but this installation.
ALWAYS = ("python", "packages", "foreign", "server", "purge", "processes", "open files")


def checks(said) -> dict[str, dict]:
    return {found["check"]: found for found in said.json["checks"]}


def site_file(folder: Path, **keys: str) -> Path:
    lines = {"provider": "slurm", "partition": "main", "walltime": "01:00:00", **keys}
    path = folder / "mine.toml"
    path.write_text("".join(f'{key} = "{value}"\n' for key, value in lines.items()))
    return path


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a program in front of all others on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def program(name: str, text: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    return program


def test_a_first_look_is_well_without_a_broker(home: Home):
    said = call(home.root, "doctor", "-f", "local", "--json")
    found = checks(said)
    assert {name: found[name]["result"] for name in ALWAYS} == dict.fromkeys(ALWAYS, "ok")
    assert found["broker"]["result"] == "skipped"
    assert said.code == (1 if said.json["result"] == "bad" else 0)
    assert not home.address_file.exists()


def test_the_text_fits_80_columns_and_ends_in_a_count(home: Home):
    said = call(home.root, "doctor", "-f", "slurm")
    assert max(len(line) for line in said.out.splitlines()) <= 80
    assert "nunatak doctor -f slurm --job" in " ".join(said.out.split())
    assert " ok" in said.out.splitlines()[-1]


def test_an_open_password_is_bad_and_the_remedy_cures_it(home: Home):
    home.password_file.chmod(0o644)
    said = call(home.root, "doctor", "--json")
    found = checks(said)["secrets"]
    assert (said.code, found["result"], said.json["result"]) == (1, "bad", "bad")
    assert found["remedy"] == f"chmod 600 {home.password_file}"
    os.system(found["remedy"])
    assert stat.S_IMODE(home.password_file.stat().st_mode) == 0o600
    assert checks(call(home.root, "doctor", "--json"))["secrets"]["result"] == "ok"


def test_a_running_broker_its_clock_and_what_waits_are_looked_at(settings: Settings, queue: Queue):
    (queue.folder / "a.sh").write_text("true\n")
    queue.add("c", "a.sh", "gone.sh")
    found = checks(call(settings.home.root, "doctor", "--json"))
    assert (found["broker"]["result"], found["clock"]["result"]) == ("ok", "ok")
    assert found["jobfiles"]["result"] == "bad"
    assert f"2 waiting in {queue.folder}, 1 of them are gone" in found["jobfiles"]["text"]


def test_for_a_cluster_a_broker_of_this_host_alone_is_warned_of(settings: Settings, tmp_path: Path):
    found = checks(call(settings.home.root, "doctor", "-f", str(site_file(tmp_path)), "--json"))
    assert found["bind"]["result"] == "warning"
    assert "--bind all" in found["bind"]["remedy"]


def test_a_job_of_this_machine_reports_and_starts_the_broker_for_it(home: Home):
    said = call(home.root, "doctor", "-f", "local", "--job", "--json")
    found = checks(said)
    assert {name: found[name]["result"] for name in ("broker", "home", "programs", "reach", "node")} == dict.fromkeys(
        ("broker", "home", "programs", "reach", "node"), "ok"
    ), said.out
    assert "seen by node" in found["home"]["text"]


def test_a_job_whose_worker_init_is_wrong_shows_what_it_said(home: Home, tmp_path: Path):
    path = tmp_path / "broken.toml"
    path.write_text('provider = "local"\nworker_init = "module load no-such; exit 3"\npoll_every_s = 0.5\n')
    said = call(home.root, "doctor", "-f", str(path), "--job", "--json")
    found = checks(said)["reach"]
    assert (said.code, found["result"]) == (1, "bad")
    assert "ended without a report" in found["text"]
    assert "module: command not found" in found["text"]


def test_a_job_without_a_site_is_wrong_use(home: Home):
    said = call(home.root, "doctor", "--job")
    assert said.code == 2
    assert "nunatak doctor -f SITE --job" in said.err


def test_a_job_that_costs_is_asked_about_first(home: Home, tmp_path: Path, programs):
    programs("sbatch", "echo called >> $0.log; exit 1")
    path = site_file(tmp_path)
    said = call(home.root, "doctor", "-f", str(path), "--job")
    assert said.code != 0
    assert "costs 0.02 SU at most" in said.err
    assert not (tmp_path / "bin" / "sbatch.log").exists()


SAYS = {
    "sbatch: Job 5 to start at 2026-11-22T12:00:00 using 4 processors on nodes n1 in partition main": (0, "ok"),
    "sbatch: error: invalid partition specified: nope": (1, "bad"),
    "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)": (1, "bad"),
}


@pytest.mark.parametrize("text", SAYS)
def test_sbatch_is_asked_about_the_sites_own_script_and_nothing_is_submitted(home: Home, tmp_path: Path, programs, text):
    code, result = SAYS[text]
    programs("sbatch", f'[ "$1" = --version ] && {{ echo slurm 22.05.8; exit; }}; echo "$1" > $0.log; cat "$2" >> $0.log; '
                       f'echo "{text}" >&2; exit {code}')
    for name in ("squeue", "scancel", "scontrol", "srun"):
        programs(name, "exit 1")
    found = checks(call(home.root, "doctor", "-f", str(site_file(tmp_path, scheduler_options="#SBATCH --mail-type=END")), "--json"))
    assert found["sbatch"]["result"] == result
    assert text.replace("sbatch: ", "") in found["sbatch"]["text"]
    asked = (tmp_path / "bin" / "sbatch.log").read_text()
    assert asked.startswith("--test-only\n")
    assert "#SBATCH --partition=main" in asked
    assert "#SBATCH --mail-type=END" in asked
    assert found["slurm"]["text"] == "slurm 22.05.8"


def test_a_quota_that_is_full_is_bad(home: Home, programs):
    source = host_facts.place(home.root, host_facts.mounts(), {}).source
    programs("quota", f'echo "{source}  4096 4096 4096 0 10 0 0 0"')
    found = checks(call(home.root, "doctor", "--json"))["quota"]
    assert (found["result"], "4 MiB of 4 MiB" in found["text"]) == ("bad", True)


def test_a_home_on_scratch_is_warned_of(home: Home, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SCRATCH", str(home.root.parent))
    found = checks(call(home.root, "doctor", "--json"))["purge"]
    assert found["result"] == "warning"
    # A checkout in the same folder is warned of first.
    assert any(place in found["text"] for place in (str(home.root), sys.prefix))


def test_a_foreign_package_on_pythonpath_is_named(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "tasks").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = checks(call(home.root, "doctor", "--json"))["foreign"]
    assert found["result"] == "warning"
    assert str(tmp_path / "tasks") in found["text"]
