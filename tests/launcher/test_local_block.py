"""Real blocks on this machine, through Parsl, with a stand-in for the worker."""

import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from broker.home import Home
from launcher import blocks
from launcher.block import Block, BlockState
from launcher.errors import LauncherError, NoProgram, SubmitFailed
from launcher.local_provider import LocalBlockProvider, quote_for_parsl
from launcher.local_state import script_process
from launcher.process import Process, find, here, is_alive
from launcher.site import Site

LOCAL = Site(name="local", max_workers=2)


class Notes:
    """Records what a ledger would, and can die after the nth record."""

    def __init__(self, dies_after: int = 99) -> None:
        self.kept: list[tuple[str, dict[str, str]]] = []
        self.dies_after = dies_after

    def record_block(self, block_id: str, fields: dict[str, str]) -> None:
        if len(self.kept) == self.dies_after:
            raise ConnectionError("the broker is away")
        self.kept.append((block_id, fields))

    @property
    def states(self) -> list[str]:
        return [fields["state"] for _, fields in self.kept]

    def adopted(self) -> Block:
        return Block.from_fields(*self.kept[-1])


@pytest.fixture
def home(tmp_path):
    """A home with everything in its name that a shell could stumble over; what is left of its blocks is killed afterwards."""
    home = Home(tmp_path / "it's a \"home\" $HOME `x` é;&*")
    home.create()
    yield home
    for identity in home.blocks_dir.glob("*/identity"):
        process = script_process(identity.parent, here())
        if process and is_alive(process):
            os.killpg(os.getpgid(process.pid), signal.SIGKILL)


@pytest.fixture
def start(home):
    """Starts blocks b0, b1, …"""
    numbers = count()

    def start(command: str, *, site: Site = LOCAL, ledger: Notes | None = None) -> Block:
        return blocks.submit(site, home, f"b{next(numbers)}", ledger=ledger or Notes(), command=["/bin/bash", "-c", command])

    return start


def wait_until_over(block: Block, home: Home, timeout_s: float = 20.0) -> Block:
    deadline = time.monotonic() + timeout_s
    while not block.state.is_over:
        assert time.monotonic() < deadline, f"last seen: {block}"
        time.sleep(0.02)
        block = blocks.look(block, home)
    return block


def wait_for(file: Path, timeout_s: float = 20.0) -> str:
    deadline = time.monotonic() + timeout_s
    while not (file.exists() and file.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"{file} was not written"
        time.sleep(0.02)
    return file.read_text().strip()


def test_a_block_runs_its_command_and_ends(home, start):
    ledger = Notes()
    block = start("echo up", ledger=ledger)
    assert ledger.states == ["intended", "running"]
    assert (block.state, block.slots, block.nodes, block.ends_at) == (BlockState.RUNNING, 2, 1, None)
    over = wait_until_over(block, home)
    assert (over.state, over.reason) == (BlockState.ENDED, "")
    assert over.ended_at is not None
    assert blocks.said(over, home).endswith("up")
    assert blocks.look(over, home) is over


def test_a_walltime_says_when_the_block_ends_at_the_latest(start):
    block = start("true", site=replace(LOCAL, walltime="01:00:00"))
    assert block.ends_at == block.submitted_at + 3600


def test_a_block_without_slots_in_its_site_has_one_per_processor(start):
    assert start("true", site=Site(name="local")).slots == len(os.sched_getaffinity(0))


def test_what_the_user_exported_and_nothing_else_reaches_the_worker(home, start, tmp_path, monkeypatch):
    monkeypatch.setenv("AWKWARD", "a\nb 'x' \"y\" $z `u` \\")
    monkeypatch.setenv("BASH_FUNC_module%%", "() { echo \"loaded $*\"\n}")
    monkeypatch.delenv("JOBNAME", raising=False)
    seen = tmp_path / "env.json"
    code = f"import json, os; json.dump(dict(os.environ), open({str(seen)!r}, 'w'))"
    block = start(f"module gdal; exec {shlex.join([sys.executable, '-I', '-c', code])}")
    over = wait_until_over(block, home)
    assert over.state is BlockState.ENDED, blocks.said(over, home)
    assert "loaded gdal" in blocks.said(over, home)
    # What every shell counts for itself; bash spells functions anew; pytest's readline puts the last two behind os.environ's back.
    own = {"_", "SHLVL", "PWD", "OLDPWD", "BASH_FUNC_module%%", "COLUMNS", "LINES"}
    assert _without(json.loads(seen.read_text()), own) == _without(dict(os.environ), own)


def _without(environ: dict[str, str], names: set[str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in names}


def test_worker_init_and_node_init_run_before_the_worker_in_this_order(home, start):
    site = replace(LOCAL, worker_init="export STEPS=worker", node_init="STEPS=$STEPS-node; cd /")
    over = wait_until_over(start("echo $STEPS $PWD", site=site), home)
    assert "worker-node /" in blocks.said(over, home)


def test_the_worker_stands_in_the_scripts_place(home, start, tmp_path):
    pid_file = tmp_path / "pid"
    block = start(f"echo $$ > {pid_file}; exec sleep 30")
    pid = int(wait_for(pid_file))
    identity = (blocks.block_folder(home, block.block_id) / "identity").read_text()
    assert int(identity.split()[0]) == pid


def test_a_block_whose_init_fails_shows_its_own_words(home, start):
    site = replace(LOCAL, worker_init="echo no such module: gdal >&2; exit 7")
    over = wait_until_over(start("true", site=site), home)
    assert (over.state, over.reason) == (BlockState.FAILED, "its script ended with exit code 7")
    assert "no such module: gdal" in blocks.said(over, home)


def test_a_cancelled_block_is_asked_by_sigterm_and_is_cancelled_when_it_has_ended(home, start, tmp_path):
    ledger, up, bye = Notes(), tmp_path / "up", tmp_path / "bye"
    block = start(f"trap 'sleep 0.3; echo bye > {bye}; exit 0' TERM; echo up > {up}; while :; do sleep 0.05; done", ledger=ledger)
    wait_for(up)
    leaving = blocks.cancel(blocks.look(block, home), home, ledger=ledger)
    assert ledger.states == ["intended", "running", "leaving"]
    assert blocks.look(leaving, home).state is BlockState.LEAVING
    assert wait_until_over(leaving, home).state is BlockState.CANCELLED
    assert wait_for(bye) == "bye"


def test_only_the_worker_hears_a_cancel_and_not_its_children(home, start, tmp_path):
    ledger, up, child = Notes(), tmp_path / "up", tmp_path / "child"
    inner = f"trap 'echo heard > {child}' TERM; echo up > {up}; for i in 1 2 3 4; do sleep 0.1; done; echo done >> {child}"
    block = start(f"trap 'wait; exit 0' TERM; bash -c {shlex.quote(inner)} & wait", ledger=ledger)
    wait_for(up)
    assert wait_until_over(blocks.cancel(block, home, ledger=ledger), home).state is BlockState.CANCELLED
    assert child.read_text() == "done\n"


def test_a_cancel_during_worker_init_ends_what_it_has_started_too(home, start, tmp_path):
    ledger, up = Notes(), tmp_path / "up"
    block = start("true", ledger=ledger, site=replace(LOCAL, worker_init=f"bash -c 'echo $$ > {up}; exec sleep 60'"))
    started = find(here(), int(wait_for(up)))
    over = wait_until_over(blocks.cancel(block, home, ledger=ledger), home)
    assert over.state is BlockState.CANCELLED
    assert started is not None
    deadline = time.monotonic() + 20
    while is_alive(started):
        assert time.monotonic() < deadline, f"{started} lives on"
        time.sleep(0.02)


def test_a_later_process_adopts_a_block_from_its_record_and_cancels_it(home, start, tmp_path):
    ledger, up = Notes(), tmp_path / "up"
    start(f"echo up > {up}; exec sleep 60", ledger=ledger)
    wait_for(up)
    adopted = ledger.adopted()
    assert blocks.look(adopted, home) is adopted
    code = """if True:
        import json, sys
        from pathlib import Path
        from broker.home import Home
        from launcher import blocks
        from launcher.block import Block

        class Silent:
            def record_block(self, block_id, fields):
                pass

        blocks.cancel(Block.from_fields("b0", json.loads(sys.argv[2])), Home(Path(sys.argv[1])), ledger=Silent())
    """
    subprocess.run([sys.executable, "-I", "-c", code, str(home.root), json.dumps(ledger.kept[-1][1])], check=True, timeout=60)
    over = wait_until_over(adopted, home)
    assert (over.state, over.reason) == (BlockState.FAILED, "its script ended with exit code 143")


def test_a_block_whose_script_has_not_said_who_it_is_is_known_by_its_recorded_process(home, start, tmp_path):
    ledger, up = Notes(), tmp_path / "up"
    start(f"echo up > {up}; exec sleep 60", ledger=ledger)
    wait_for(up)
    identity = blocks.block_folder(home, "b0") / "identity"
    text = identity.read_text()
    identity.unlink()
    running = blocks.look(ledger.adopted(), home, clock=lambda: time.time() + 1000)
    identity.write_text(text)
    assert running.state is BlockState.RUNNING


def test_a_launcher_that_dies_before_it_records_the_job_id_leaves_a_block_that_is_found(home, tmp_path):
    ledger, up = Notes(dies_after=1), tmp_path / "up"
    with pytest.raises(ConnectionError):
        blocks.submit(LOCAL, home, "b0", ledger=ledger, command=["/bin/bash", "-c", f"echo up > {up}; exec sleep 60"])
    wait_for(up)
    orphan = ledger.adopted()
    assert (orphan.state, orphan.job_id) == (BlockState.INTENDED, "")
    found = blocks.look(orphan, home)
    assert found.state is BlockState.RUNNING
    ledger.dies_after = 99
    assert wait_until_over(blocks.cancel(found, home, ledger=ledger), home).state is BlockState.CANCELLED


def test_an_intent_that_never_became_a_block_is_failed_after_a_minute_and_not_sooner(home):
    block = Block(block_id="b9", site="local", provider="local", submitted_at=1000.0, process=here())
    assert blocks.look(block, home, clock=lambda: 1059.0).state is BlockState.INTENDED
    over = blocks.look(block, home, clock=lambda: 1060.0)
    assert (over.state, over.reason, over.ended_at) == (BlockState.FAILED, "it was never started", 1060.0)


def test_nothing_is_submitted_when_the_intent_cannot_be_recorded(home, tmp_path):
    up = tmp_path / "up"
    with pytest.raises(ConnectionError):
        blocks.submit(LOCAL, home, "b0", ledger=Notes(dies_after=0), command=["/bin/bash", "-c", f"echo up > {up}"])
    assert list(blocks.block_folder(home, "b0").iterdir()) == []


def test_an_id_that_now_belongs_to_another_process_is_not_cancelled(home):
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        process = find(here(), stranger.pid)
        assert process is not None
        recycled = replace(process, started=process.started - 1)
        block = Block(block_id="b8", site="local", provider="local", state=BlockState.RUNNING, job_id=str(stranger.pid), process=recycled)
        assert blocks.look(block, home).state is BlockState.FAILED
        blocks.cancel(block, home, ledger=Notes())
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_block_of_another_host_is_unknown_here_and_cannot_be_cancelled_here(home):
    elsewhere = Process(host="login9", boot="x", pid=1, started=1)
    block = Block(block_id="b7", site="local", provider="local", state=BlockState.RUNNING, process=elsewhere)
    assert blocks.look(block, home).state is BlockState.UNKNOWN
    with pytest.raises(LauncherError, match=r"block b7 runs on login9, and this is .*: cancel it there"):
        blocks.cancel(block, home, ledger=Notes())


def test_a_submission_that_fails_is_recorded_as_unknown_and_keeps_its_script(home, monkeypatch):
    ledger = Notes()
    monkeypatch.setattr("parsl.providers.local.local.execute_wait", lambda _command, _walltime: (1, "", "fork: no"))
    with pytest.raises(SubmitFailed, match=r"block b0 could not be started: .*Launch command exited with code 1.*Its script is kept in"):
        blocks.submit(LOCAL, home, "b0", ledger=ledger, command=["true"])
    assert ledger.states == ["intended", "unknown"]
    assert ledger.adopted().ended_at is None
    assert [file.suffix for file in blocks.block_folder(home, "b0").iterdir()] == [".sh"]


def test_a_block_id_is_used_once(home, start):
    wait_until_over(start("true"), home)
    with pytest.raises(LauncherError, match="a block b0 exists already"):
        blocks.submit(LOCAL, home, "b0", ledger=Notes(), command=["true"])
    assert len({blocks.new_block_id() for _ in range(50)}) == 50


def test_a_blocks_files_are_for_its_owner_only(home, start):
    block = wait_until_over(start("true"), home)
    folder = blocks.block_folder(home, block.block_id)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.glob("*.sh")] == [0o600]


def test_a_parsl_that_writes_its_script_in_another_way_is_refused(tmp_path):
    provider = LocalBlockProvider(LOCAL, "b1", tmp_path)
    with pytest.raises(SubmitFailed, match="block b1: this Parsl composes its script in another way"):
        provider._write_submit_script("JOBNAME=x\nexec true\n", str(tmp_path / "b1.1.sh"))


def test_a_home_with_a_line_break_in_its_name_is_refused():
    with pytest.raises(SubmitFailed, match="has a line break in its name; set NUNATAK_HOME to one without"):
        quote_for_parsl(Path("/tmp/a\nb"))


def test_the_worker_is_started_by_absolute_path_and_isolated(tmp_path):
    from launcher.command import worker_command

    (tmp_path / "nunatak").write_text("")
    assert worker_command("b1", python="/x/python", scripts=str(tmp_path)) == (
        "/x/python", "-I", str(tmp_path / "nunatak"), "worker", "--block", "b1",
    )  # fmt: skip
    with pytest.raises(NoProgram, match=r"does not exist. Install nunatak into the environment"):
        worker_command("b1", scripts=str(tmp_path / "none"))


def test_parsl_is_not_imported_before_a_block_is_submitted():
    code = "import sys, launcher.blocks, launcher.site_file; print([m for m in ('parsl', 'celery', 'redis') if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert ended.stdout == "[]\n"
