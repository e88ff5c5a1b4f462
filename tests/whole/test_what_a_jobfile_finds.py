"""What a jobfile finds when it runs: asserted from inside jobfiles, one run for all of the first part."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import servers
from whole.machine import Machine, machine_in
from whole.proc import cmdline, environ

VENV = Path(sys.prefix)
#: Into `found/NAME/`, one file per question. /proc/self is the child that asks, which has what its jobfile hands on.
_PROBE = """\
mkdir -p "{found}/$NAME"; cd_was=$PWD; found={found}/$NAME
env -0 > "$found/environ"
echo "$cd_was" > "$found/cwd"
readlink /proc/self/fd/0 > "$found/stdin"
ls -l /proc/self/fd > "$found/descriptors"
umask > "$found/umask"
ulimit -c > "$found/core"
cat /proc/self/oom_score_adj > "$found/oom_score_adj"
grep -E '^(Sig|Cpus_allowed_list)' /proc/self/status > "$found/status"
stat -c '%F %a' "$TMPDIR" > "$found/tmpdir"
touch "$TMPDIR/file"; mkdir "$TMPDIR/folder"; touch "$TMPDIR/folder/file"
"""
_TRAP = """\
import os
if "NUNATAK_TOKEN" not in os.environ:
    open({mark!r}, "a").write(__name__ + "\\n")
    raise SystemExit("somebody else's module was imported by nunatak")
WHOSE = "the user's"
"""


@dataclass(frozen=True)
class Found:
    """What one jobfile wrote."""

    folder: Path

    def text(self, what: str) -> str:
        return (self.folder / what).read_text().strip()

    @property
    def environ(self) -> dict[str, str]:
        return dict(word.split("=", 1) for word in (self.folder / "environ").read_text().split("\0") if "=" in word)


@dataclass(frozen=True)
class World:
    """A machine after its run, and what was seen while it ran."""

    machine: Machine
    found: Path
    trapped: Path
    ended: "subprocess.Popen[str]"
    said: str
    #: Command lines and environments of everything of ours, while a jobfile ran.
    arguments: str
    variables: str

    def __call__(self, name: str) -> Found:
        return Found(self.found / name)


def _set_traps(folder: Path, mark: Path) -> None:
    """Modules of our packages' names, which nobody but the user's own programs may import."""
    text = _TRAP.format(mark=str(mark))
    for name in ("tasks.py", "celeryconfig.py", "nunatak_tasks.py"):
        (folder / name).write_text(text)
    for name in ("broker", "launcher"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "__init__.py").write_text(text)


def _probe(machine: Machine, found: Path, name: str, after: str = "") -> None:
    machine.write(name, f"NAME={name}\n{_PROBE.format(found=found)}{after}")


def _environ_of_a_user(machine: Machine, library: Path) -> dict[str, str]:
    """As in an activated virtual environment, in a Slurm job, with a library of the user's own."""
    return {
        "VIRTUAL_ENV": str(VENV), "VIRTUAL_ENV_PROMPT": "(nunatak) ", "PATH": f"{VENV}/bin:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": str(library), "SLURM_JOB_ID": "4711", "SLURM_NTASKS": "2", "SLURM_STEP_ID": "0", "PMI_RANK": "0", "PMIX_ID": "1",
        "SLURMD_NODENAME": "c1", "USERS_OWN": "kept", "NUNATAK_SERVER_URL": "", "TMPDIR": str(machine.root / "tmp"),
    }  # fmt: skip


def _as_a_shell_with_umask_27_under_nohup() -> None:
    os.umask(0o027)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _ours(machine: Machine) -> list[int]:
    """Everything that runs for this home: broker, block, guard, worker, jobfiles."""
    brokers = [*servers.supervisors(machine.home), *servers.servers(machine.home)]
    return [*machine.pids(), *brokers]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with machine_in(folder) as machine:
        found, mark, library = folder / "found", folder / "trapped", folder / "library"
        for made in (found, library, folder / "tmp"):
            made.mkdir()
        _set_traps(machine.folder, mark)
        _set_traps(library, mark)
        (library / "own_library.py").write_text("NAME = 'own library'\n")
        (machine.folder / "broker.py").write_text(_TRAP.format(mark=str(mark)))
        (machine.folder / "neighbour.py").write_text("WORD = 'neighbour found'\n")
        (machine.folder / "main.py").write_text(
            "import neighbour, own_library, tasks, broker, launcher, celeryconfig\n"
            "print(neighbour.WORD, own_library.NAME, tasks.WHOSE, broker.WHOSE, launcher.WHOSE, celeryconfig.WHOSE, sep=', ')\n"
        )
        machine.write("python", "/usr/bin/python3 main.py")
        _probe(machine, found, "facts", f"until [ -e {folder}/go ]; do sleep 0.1; done")
        _probe(machine, found, "twice", 'echo "attempt $NUNATAK_ATTEMPT"; echo oops >&2; [ $NUNATAK_ATTEMPT = 3 ]')
        _probe(machine, found, "again", '[ $NUNATAK_ATTEMPT = 2 ] || { echo first; echo oops >&2; exit 1; }; echo second')
        machine.environ |= _environ_of_a_user(machine, library)
        child = machine.start("--campaign", "finds", cwd=machine.folder, preexec_fn=_as_a_shell_with_umask_27_under_nohup)
        servers.wait_until(lambda: (found / "facts" / "tmpdir").exists(), 30, "the jobfile to look around")
        pids = _ours(machine)
        arguments = "\n".join(map(cmdline, pids))
        variables = "\n".join(word.decode(errors="replace") for pid in pids for word in environ(pid))
        (folder / "go").touch()
        out, err = child.communicate(timeout=60)
        yield World(machine, found, mark, child, f"{out}\n{err}", arguments, variables)


def test_the_run_that_all_the_following_looks_at_went_well(world: World):
    assert world.ended.returncode == 0, world.said
    assert world.machine.processes() == []


def test_a_users_python_program_finds_its_neighbours_and_the_users_own_library(world: World):
    text = world.machine.out("python").read_text()
    assert text == "neighbour found, own library, the user's, the user's, the user's, the user's\n"


def test_modules_of_our_names_in_the_jobfiles_directory_and_on_pythonpath_are_never_imported_by_us(world: World):
    assert not world.trapped.exists(), world.trapped.read_text()
    assert world("facts").environ["PYTHONPATH"] == str(world.machine.root / "library")


def test_no_virtual_environment_of_ours_is_left_in_the_environment(world: World):
    environ = world("facts").environ
    assert not {"VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "PYTHONHOME"} & set(environ)
    assert environ["PATH"] == "/usr/local/bin:/usr/bin:/bin"
    assert {name: value for name, value in environ.items() if str(VENV) in value} == {}


def test_what_is_slurms_is_removed_but_the_job_id_and_what_is_the_users_is_kept(world: World):
    environ = world("facts").environ
    assert [name for name in environ if re.match("SLURM|PMI", name)] == ["SLURM_JOB_ID"]
    assert (environ["SLURM_JOB_ID"], environ["USERS_OWN"]) == ("4711", "kept")


def test_a_jobfile_is_told_who_and_where_it_is(world: World):
    environ = world("facts").environ
    told = {name: value for name, value in environ.items() if name.startswith("NUNATAK_")}
    (block,) = world.machine.blocks()
    assert re.fullmatch("[0-9a-f]{16,}", told.pop("NUNATAK_TOKEN"))
    assert re.fullmatch("[0-9]+:[0-9]+", told.pop("NUNATAK_GUARD"))
    assert told.pop("NUNATAK_SLOT") in ("0", "1")
    assert told == {
        "NUNATAK_HOME": str(world.machine.home.root),
        "NUNATAK_JOBFILE": str(world.machine.folder / "qsub_facts.sh"),
        "NUNATAK_CAMPAIGN": "finds",
        "NUNATAK_ATTEMPT": "1",
        "NUNATAK_NODE": os.uname().nodename,
        "NUNATAK_BLOCK": block,
        "NUNATAK_CPUS": str(max(1, len(os.sched_getaffinity(0)) // 2)),
        "NUNATAK_DEADLINE": "",
    }
    assert "OMP_NUM_THREADS" not in environ


def test_it_starts_in_its_own_directory_with_nothing_to_read_and_no_file_of_ours_open(world: World):
    facts = world("facts")
    assert facts.text("cwd") == facts.environ["PWD"] == str(world.machine.folder)
    assert facts.text("stdin") == "/dev/null"
    opened = re.findall(r" ([0-9]+) -> (\S+)", facts.text("descriptors"))
    # `ls` itself has the folder open that it lists.
    assert [fd for fd, target in opened if "/proc/" not in target] == ["0", "1", "2"]


def test_umask_core_limit_and_oom_score(world: World):
    facts = world("facts")
    assert (facts.text("umask"), facts.text("core"), facts.text("oom_score_adj")) == ("0027", "0", "500")
    assert world.machine.out("facts").stat().st_mode & 0o777 == 0o640


def test_signals_are_as_a_fresh_login_has_them_also_under_nohup(world: World):
    masks = dict(line.split(":\t") for line in world("facts").text("status").splitlines())
    # Signals 32 and 33 are the C library's own: whoever starts the tests may have them blocked, and no program can unblock them.
    assert int(masks["SigBlk"], 16) & ~(3 << 31) == int(masks["SigIgn"], 16) & ~(3 << 31) == 0


def test_its_temporary_folder_is_private_and_gone_afterwards(world: World):
    facts = world("facts")
    assert facts.text("tmpdir") == "directory 700"
    tmpdir = Path(facts.environ["TMPDIR"])
    assert tmpdir.parent == world.machine.root / "tmp"
    assert not tmpdir.exists()
    assert world("again").environ["TMPDIR"] != str(tmpdir)


def test_logs_of_earlier_attempts_are_kept_by_number_and_an_empty_err_is_removed(world: World):
    folder = world.machine.folder

    def logs(name: str) -> dict[str, str]:
        return {path.suffix + path.name.partition(".sh")[2]: path.read_text() for path in folder.glob(f"qsub_{name}.sh.*")}

    assert sorted(p.name for p in folder.glob("qsub_facts.sh.*")) == ["qsub_facts.sh.out"]
    assert {p.name: p.read_text() for p in folder.glob("qsub_again.sh.*")} == {
        "qsub_again.sh.out": "second\n", "qsub_again.sh.out.1": "first\n", "qsub_again.sh.err.1": "oops\n",
    }  # fmt: skip
    assert {p.name: p.read_text() for p in folder.glob("qsub_twice.sh.*")} == {
        f"qsub_twice.sh.{kind}{suffix}": text
        for number, suffix in ((1, ".1"), (2, ".2"), (3, ""))
        for kind, text in (("out", f"attempt {number}\n"), ("err", "oops\n"))
    }


def test_the_password_is_in_no_argument_no_variable_no_log_and_in_two_private_files_only(world: World):
    home = world.machine.home
    secret = home.password_file.read_text().strip()
    assert len(secret) > 16
    assert "tasks.guard" in world.arguments
    assert "server.conf" in world.arguments
    for text in (world.arguments, world.variables, world.said, *(f.text("environ") for f in map(world, ("facts", "twice", "again")))):
        assert secret not in text
    files = [path for root in (home.root, world.machine.root) for path in root.rglob("*") if path.is_file()]
    assert len(files) > 20
    holding = {path for path in files if secret.encode() in path.read_bytes()}
    assert holding == {home.password_file, home.epoch_dir(1) / "server.conf"}
    assert {path.stat().st_mode & 0o777 for path in holding} == {0o600}
    assert home.root.stat().st_mode & 0o777 == 0o700
    assert [path for path in home.root.rglob("*") if path.stat().st_mode & 0o022] == []


# -- other settings ---------------------------------------------------------------------------------------------------------------------


def test_bound_slots_have_processors_of_their_own_and_logs_go_where_they_are_wanted(machine: Machine):
    processors = os.sched_getaffinity(0)
    if len(processors) < 2:
        servers.missing("two processors")
    found, logs = machine.root / "found", machine.root / "wanted logs"
    found.mkdir()
    logs.mkdir()
    for name, other in (("a", "b"), ("b", "a")):
        # Both run until both have looked.
        _probe(machine, found, name, f"echo $NAME; until [ -e {found}/{other}/tmpdir ]; do sleep 0.05; done")
    machine.environ |= {"NUNATAK_WORKER_BIND": "slot"}
    machine.environ.pop("OMP_NUM_THREADS", None)
    said = machine.run("--logs", str(logs))
    assert said.returncode == 0, said.stderr
    bound = {name: _bound(Found(found / name)) for name in "ab"}
    share = len(processors) // 2
    assert [len(cpus) for cpus in bound.values()] == [share, share]
    assert not bound["a"] & bound["b"]
    assert bound["a"] | bound["b"] <= processors
    slots = set()
    for name in "ab":
        environ = Found(found / name).environ
        slots.add(environ["NUNATAK_SLOT"])
        assert (environ["NUNATAK_CPUS"], environ["OMP_NUM_THREADS"]) == (str(share), str(share))
    assert slots == {"0", "1"}
    assert sorted(path.name for path in logs.iterdir()) == ["qsub_a.sh.out", "qsub_b.sh.out"]
    # Beside the jobfiles nothing but the marker that names their broker's home.
    assert sorted(path.name for path in machine.folder.iterdir()) == [".nunatak", "qsub_a.sh", "qsub_b.sh"]


def _bound(found: Found) -> set[int]:
    from tasks.guard.processors import parse_list

    lines: dict[str, Any] = dict(line.split(":\t") for line in found.text("status").splitlines())
    return set(parse_list(lines["Cpus_allowed_list"]))


def test_the_installed_program_is_not_disturbed_by_the_users_pythonpath_either(machine: Machine):
    """Neither by packages of our names there, nor does the jobfile lose the variable over it."""
    library, mark = machine.root / "library", machine.root / "trapped"
    library.mkdir()
    _set_traps(library, mark)
    machine.write("a", "echo $PYTHONPATH")
    machine.environ["PYTHONPATH"] = str(library)
    child = machine.popen("run", str(machine.folder), "--slots", "1", program=(str(Path(sys.executable).parent / "nunatak"),))
    _, err = child.communicate(timeout=60)
    assert (child.returncode, mark.exists()) == (0, False), err
    assert machine.out("a").read_text() == f"{library}\n"
