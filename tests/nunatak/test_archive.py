"""The archive: what is in it, when it is built anew, and a node that starts from nothing else."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import servers
from whole.machine import Machine, machine_in

from broker.home import Home
from broker.records import State
from nunatak import unpacked
from nunatak.archive import build, contents, ensure_archive
from nunatak.archive.contents import CannotArchive
from nunatak.archive.needed import needed
from nunatak.block_file import BlockFile, write_block_file

ROOT = Path(__file__).parent.parent.parent
#: In a line of strace.
OPENED = re.compile(r'\bopen(?:at)?\([^"]*"([^"]+)"')
#: In a home: what a node reads there besides the archive, because it changes while it runs.
STATE = re.compile(r"(address\.json|password|heartbeat/.*|records/.*)")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the real code; a copy, because tests have homes of their own."""
    return ensure_archive(Home(tmp_path_factory.mktemp("home")))


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with machine_in(tmp_path) as made:
        yield made


# -- its contents -----------------------------------------------------------------------------------------------------------------------


def test_it_holds_our_code_and_what_a_worker_imports_compiled_and_nothing_of_parsl_flower_and_rich(archive: Path):
    with tarfile.open(archive) as opened:
        names = opened.getnames()
    tops = {name.split("/")[0] for name in names}
    assert {"broker", "tasks", "nunatak", "celery", "kombu", "redis", "click", "packaging", "dateutil", "tzlocal", "stdlib"} <= tops
    assert tops & {"parsl", "flower", "rich", "tornado", "zmq", "prompt_toolkit", "launcher", "psutil", "setproctitle"} == set()
    assert {"nunatak/node.pyc", "nunatak/cli/worker.pyc", "nunatak/settings.pyc"} <= set(names)
    assert not [name for name in names if re.search("parsl|flower|rich", name)], "not even what people use them with"
    assert {"__main__.pyc", "python", "broker/lua/claim.lua", "stdlib/json/decoder.pyc"} <= set(names)
    assert [name for name in names if name.endswith(".py")] == []
    assert names[0] == "python", "a folder that was unpacked in part is known by it"


def test_a_missing_distribution_is_named_with_a_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(contents, "ROOTS", ("celery[redis]", "no-such-distribution"))
    with pytest.raises(CannotArchive, match=r"no-such-distribution is not installed .* make install"):
        contents.look()


def test_of_the_roof_goes_in_what_the_worker_command_imports(tmp_path: Path):
    files = {
        "nunatak/__init__.py": "",
        "nunatak/cli/__init__.py": "",
        "nunatak/cli/worker.py": "from nunatak import a\nimport nunatak.b\ndef f():\n    from nunatak.c import thing\n",
        "nunatak/a.py": "import broker.home\nimport json\n",
        "nunatak/b.py": "from nunatak.a import x\n",
        "nunatak/c/__init__.py": "from nunatak.c.d import thing\n",
        "nunatak/c/d.py": "",
        "nunatak/other.py": "",
        "broker/home.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = {path.relative_to(tmp_path).as_posix() for path in needed(tmp_path, ("nunatak.cli.worker",))}
    assert found == set(files) - {"nunatak/other.py", "broker/home.py"}


# -- when it is built -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A little tree in the place of our code; nothing else goes in."""
    for name in ("broker/__init__.py", "tasks/__init__.py", "nunatak/__init__.py", "nunatak/cli/worker.py", contents.PROGRAM):
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_text("WORD = 1\n")
    monkeypatch.setattr(contents, "nunatak", SimpleNamespace(__file__=str(tmp_path / "code/nunatak/__init__.py")))
    monkeypatch.setattr(contents, "ROOTS", ())
    monkeypatch.setattr(build, "standard_library", lambda: iter(()))
    return tmp_path / "code"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.create()
    return made


@pytest.mark.usefixtures("code")
def test_the_same_code_has_one_archive(home: Home):
    first = ensure_archive(home)
    inode = first.stat().st_ino
    assert ensure_archive(home) == first
    assert first.stat().st_ino == inode, "it was not built twice"
    assert [path.name for path in build.archive_dir(home).iterdir()] == [first.name]


def test_changed_code_has_another_archive_with_the_change_in_it(home: Home, code: Path, tmp_path: Path):
    first = ensure_archive(home)
    (code / "tasks" / "__init__.py").write_text("WORD = 22\n")
    second = ensure_archive(home)
    assert second != first
    with tarfile.open(second) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    program = "import sys; sys.path.insert(0, sys.argv[1]); import tasks; print(tasks.WORD)"
    words = [sys.executable, "-I", "-S", "-c", program, str(tmp_path / "unpacked")]
    said = subprocess.run(words, capture_output=True, text=True, check=True)
    assert said.stdout == "22\n"


@pytest.mark.usefixtures("code")
def test_another_version_of_a_distribution_has_another_archive(monkeypatch: pytest.MonkeyPatch):
    found = contents.look()
    monkeypatch.setattr(contents, "_closure", lambda: [SimpleNamespace(name="celery", version="9.9", files=["celery.py"], requires=[])])
    monkeypatch.setattr(contents, "_members_of", lambda _: iter(()))
    assert contents.look().digest != found.digest


def test_the_archives_used_last_are_kept_for_blocks_that_wait(home: Home, code: Path):
    made = []
    for number in range(build.KEPT + 2):
        (code / "tasks" / "__init__.py").write_text(f"WORD = {number}\n" * (number + 1))
        made.append(ensure_archive(home))
        os.utime(made[-1], (number + 1, number + 1))
        # The first one is in use all the time.
        os.utime(made[0])
    kept = {path.name for path in build.archive_dir(home).iterdir()}
    assert kept == {made[0].name, made[-2].name, made[-1].name}


@pytest.mark.usefixtures("code")
def test_an_interrupted_build_leaves_no_archive(home: Home, monkeypatch: pytest.MonkeyPatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ensure_archive(home)
    assert list(build.archive_dir(home).iterdir()) == []


def test_the_command_prints_the_archives_path_and_what_is_in_it(machine: Machine):
    said = machine.call("archive")
    assert said.code == 0
    assert Path(said.out.strip()).is_relative_to(machine.home.root / "archive")
    assert Path(said.out.strip()).stat().st_size > 1_000_000
    listed = machine.call("archive", "--list")
    assert {line.split()[0] for line in listed.out.splitlines()} >= {"celery", "kombu", "redis"}


# -- folders that were left behind ------------------------------------------------------------------------------------------------------


def _folder(place: Path, name: str, owner: str | None) -> Path:
    folder = place / name.format(uid=os.getuid())
    folder.mkdir()
    (folder / "python").write_text("/usr/bin/python3\n")
    if owner is not None:
        (folder / "owner").write_text(owner)
    return folder


def test_folders_of_dead_guards_are_removed_and_no_others(tmp_path: Path):
    live = _folder(tmp_path, "nunatak-{uid}-b1.aaaaaa", None)
    unpacked.own(live)
    mark = (live / "owner").read_text()
    dead = _folder(tmp_path, "nunatak-{uid}-b2.bbbbbb", re.sub(r"\d+\n$", "1\n", mark))
    fresh = _folder(tmp_path, "nunatak-{uid}-b3.cccccc", None)
    elsewhere = _folder(tmp_path, "nunatak-{uid}-b4.dddddd", f"another-boot:1 {mark.split()[1]}")
    not_ours = _folder(tmp_path, "nunatak-{uid}-notes", "x")
    unpacked.remove_left_behind([tmp_path, tmp_path / "missing"])
    assert {path for path in tmp_path.iterdir()} == {live, fresh, elsewhere, not_ours}
    assert not dead.exists()
    unpacked.remove_left_behind([tmp_path], now=time.time() + 4000)
    assert {path for path in tmp_path.iterdir()} == {live, elsewhere, not_ours}, "nobody unpacks for an hour"


# -- a node that starts from it ---------------------------------------------------------------------------------------------------------


def _unpack(archive: Path, block: str) -> Path:
    """As a node's script does it."""
    made = subprocess.run(["mktemp", "-d", f"/dev/shm/nunatak-{os.getuid()}-{block}.XXXXXX"], capture_output=True, text=True, check=True)
    folder = Path(made.stdout.strip())
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(folder)], check=True)
    return folder


@pytest.fixture
def folders() -> Iterator[list[Path]]:
    made: list[Path] = []
    yield made
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


def _block(machine: Machine, **fields: object) -> BlockFile:
    worker = {"idle_s": 1.0, "log_dir": str(machine.logs), "keep_logs": True}
    block = replace(BlockFile(block="b1", site="local", slots=2, worker=worker), **fields)  # type: ignore[arg-type]
    write_block_file(machine.home, block)
    return block


def _start(machine: Machine, folder: Path, *before: str, **environ: str) -> "subprocess.Popen[str]":
    python = (folder / "python").read_text().rstrip("\n")
    machine.environ |= {"NUNATAK_BLOCK_ENDS": "", "NUNATAK_BLOCK_STARTED": "", **environ}
    return machine.popen("--block", "b1", program=(*before, python, "-I", "-S", str(folder), "worker"))


def _ended(node: "subprocess.Popen[str]") -> tuple[int, str]:
    _, err = node.communicate(timeout=60)
    return node.returncode, err


def test_a_node_runs_jobfiles_from_the_unpacked_archive_alone_and_removes_it(machine: Machine, archive: Path, folders: list[Path]):
    machine.write("a", "env > environ.txt")
    machine.enqueue()
    _block(machine)
    folder = _unpack(archive, "b1")
    folders.append(folder)
    ends = str(int(time.time() + 3600))
    assert _ended(_start(machine, folder, NUNATAK_BLOCK_ENDS=ends, NUNATAK_BLOCK_STARTED="5", NUNATAK_BLOCK_FILE="")) == (0, "")
    assert machine.states() == {"a": State.DONE}
    assert not folder.exists(), "the guard removes it"
    seen = dict(line.split("=", 1) for line in (machine.folder / "environ.txt").read_text().splitlines() if "=" in line)
    assert {name for name in seen if name.startswith("NUNATAK_BLOCK")} == {"NUNATAK_BLOCK"}
    assert (seen["NUNATAK_BLOCK"], seen["NUNATAK_DEADLINE"]) == ("b1", ends)
    assert not [value for value in seen.values() if str(folder) in value]


def test_a_node_opens_one_file_of_ours_on_the_shared_filesystem(machine: Machine, archive: Path, folders: list[Path], tmp_path: Path):
    if shutil.which("strace") is None:
        servers.missing("strace, to see which files a node opens: apt-get install strace")
    machine.write("a", "true")
    machine.enqueue()
    block = _block(machine)
    text = machine.home.blocks_dir / f"{block.block}.json"
    shared = machine.home.root / "archive"
    shared.mkdir()
    shutil.copy(archive, shared)
    folder = _unpack(shared / archive.name, "b1")
    folders.append(folder)
    trace = tmp_path / "trace"
    node = _start(machine, folder, "strace", "-f", "-y", "-qq", "-e", "trace=%file", "-o", str(trace), NUNATAK_BLOCK_FILE=text.read_text())
    text.unlink()
    assert _ended(node)[0] == 0
    assert machine.states() == {"a": State.DONE}
    # A call that another thread's came between is written in two parts, the path in the first.
    paths = {found[1] for line in trace.read_text().splitlines() if "= -1 " not in line and (found := OPENED.search(line))}
    ours = {path for path in paths if path.startswith((f"{ROOT}/", f"{sys.prefix}/", f"{machine.home.root}/"))}
    home = {path.removeprefix(f"{machine.home.root}/") for path in ours}
    assert {path for path in home if not STATE.fullmatch(path)} == set(), "of ours: state only, the archive was unpacked before"
    assert {"address.json", "password"} <= home
    assert not [path for path in paths if re.search("parsl|flower|site-packages", path)]
    assert sum(path.startswith(f"{folder}/") for path in paths) > 200


def test_the_next_start_on_the_node_removes_what_a_killed_guard_left(machine: Machine, archive: Path, folders: list[Path]):
    machine.write_ticking("a", 60)
    machine.enqueue()
    _block(machine)
    folders += [_unpack(archive, "b1"), _unpack(archive, "b1")]
    node = _start(machine, folders[0])
    machine.wait_running("a")
    node.send_signal(signal.SIGKILL)
    node.wait(10)
    assert folders[0].exists()
    again = _start(machine, folders[1])
    servers.wait_until(lambda: not folders[0].exists(), 20, "the dead guard's folder to be removed")
    assert folders[1].exists()
    log = machine.logs / f"b1-{os.uname().nodename}.log"
    servers.wait_until(lambda: log.read_text().count("worker.hello") == 2, 30, "the second worker")
    again.terminate()
    assert _ended(again)[0] == 0
    assert not folders[1].exists()


def test_a_node_with_too_few_processors_is_refused_and_leaves_nothing(machine: Machine, archive: Path, folders: list[Path]):
    _block(machine, cores_per_node=10_000)
    folders.append(_unpack(archive, "b1"))
    code, said = _ended(_start(machine, folders[0]))
    assert code == 2
    assert re.search(r"may use \d+ processors and the site's nodes have 10000", said)
    assert not folders[0].exists()


def test_the_unpacked_folder_says_what_it_is_for(archive: Path, folders: list[Path]):
    folders.append(_unpack(archive, "b1"))
    said = subprocess.run([sys.executable, "-I", "-S", str(folders[0])], capture_output=True, text=True)
    assert said.returncode == 2
    assert said.stderr.startswith("Error: unknown program '';")
