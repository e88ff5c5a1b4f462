"""Real blocks on a real Slurm: where the nodes' parts start, which signals reach them, and what a lost node costs the others."""

import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster.slurm_cluster import Cluster
from cluster.user import UID

PYTHON = sys.executable
DRIVER = str(Path(__file__).with_name("slurm_driver.py"))
TASK = str(Path(__file__).with_name("block_task.py"))
SITE = {"name": "t", "provider": "slurm", "nodes_per_block": 4, "walltime": "00:10:00", "warn_s": 60, "max_workers": 1, "cmd_timeout_s": 30}


class World:
    """A launcher on the login host, and what its blocks' nodes write."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.home = cluster.home / "a home's & more"

    def call(self, *words: str, env: dict[str, str] | None = None, host: str = "login") -> list[dict[str, str]]:
        ended = self.cluster.run(host, [PYTHON, DRIVER, str(self.home), *words], env=env or {}, timeout=90)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert ended.stderr == "", ended.stderr
        return [json.loads(line) for line in ended.stdout.splitlines()]

    def folder(self, block_id: str) -> Path:
        return self.cluster.home / f"out-{block_id}"

    def submit(
        self, block_id: str, seconds: float = 600, grace_s: float = 0, code: int = 0, *, env: dict[str, str] | None = None, **site: object
    ) -> dict[str, str]:
        folder = self.folder(block_id)
        folder.mkdir()
        os.chown(folder, UID, -1)
        command = ["/usr/bin/python3", TASK, str(folder), str(seconds), str(grace_s), str(code)]
        (block,) = self.call("submit", block_id, json.dumps(SITE | site), *command, env=env)
        assert "error" not in block, block
        return block

    def look(self, block_id: str) -> dict[str, str]:
        (block,) = self.call("look", block_id)
        return block

    def cancel(self, block_id: str) -> dict[str, str]:
        (block,) = self.call("cancel", block_id)
        return block

    def wait_state(self, block_id: str, *states: str, timeout_s: float = 90) -> dict[str, str]:
        deadline = time.monotonic() + timeout_s
        while (block := self.look(block_id))["state"] not in states:
            assert time.monotonic() < deadline, f"last seen: {block}\n{self.said(block_id)}"
            time.sleep(0.5)
        return block

    def wait_lines(self, block_id: str, word: str, nodes: int, timeout_s: float = 90) -> dict[str, list[str]]:
        deadline = time.monotonic() + timeout_s
        found = self.lines(block_id)
        while sum(any(line.startswith(word) for line in lines) for lines in found.values()) < nodes:
            assert time.monotonic() < deadline, f"last seen: {found}\n{self.said(block_id)}"
            time.sleep(0.2)
            found = self.lines(block_id)
        return found

    def lines(self, block_id: str) -> dict[str, list[str]]:
        return {file.stem: file.read_text().splitlines() for file in sorted(self.folder(block_id).glob("*.log"))}

    def environ(self, block_id: str, node: str) -> dict[str, str]:
        return dict(json.loads((self.folder(block_id) / f"{node}.env").read_text()))

    def said(self, block_id: str) -> str:
        files = sorted((self.home / "blocks" / block_id).glob("*.out"))
        return "\n".join(file.read_text(errors="replace") for file in files)

    def script_outlived_its_nodes(self, block_id: str) -> bool:
        ended = (self.home / "blocks" / block_id / "ended").stat().st_mtime
        return all(file.stat().st_mtime <= ended for file in self.folder(block_id).glob("*.log"))

    def file(self, block_id: str, name: str) -> dict[str, str]:
        text = (self.home / "blocks" / block_id / name).read_text()
        return dict(line.split("=", 1) for line in text.splitlines())


@pytest.fixture
def world(shared_cluster: Cluster) -> World:
    return World(shared_cluster)


@pytest.fixture
def own_world(new_cluster: Callable[..., Cluster]) -> Callable[..., World]:
    return lambda **shape: World(new_cluster(**shape))


def test_each_node_is_started_exactly_once_and_a_good_end_is_written(world: World):
    submitted = world.submit("b1", seconds=3)
    assert (submitted["state"], submitted["job_id"].isdigit()) == ("waiting", True)
    lines = world.wait_lines("b1", "end", 4)
    assert list(lines) == ["n1", "n2", "n3", "n4"]
    assert all(len(those) == 2 for those in lines.values()), lines
    block = world.wait_state("b1", "ended")
    started, ended = world.file("b1", "started"), world.file("b1", "ended")
    assert (started["job_id"], ended["exit_code"], ended["bad_nodes"], block["reason"]) == (block["job_id"], "0", "", "")
    assert float(block["ends_at"]) == float(started["ends_at"]) == float(started["started_at"]) + 600
    assert abs(float(block["ended_at"]) - float(ended["ended_at"])) < 1


def test_the_task_of_each_step_is_the_command_itself_and_sees_all_processors(world: World):
    world.submit("b1")
    lines = world.wait_lines("b1", "start", 4)
    for host, (start, *_) in lines.items():
        _, pid, processors = start.split(" ", 2)
        assert len(json.loads(processors)) == os.cpu_count()
        (found,) = world.cluster.pids_on(host, user="alice", word=TASK)
        parent = re.search(r"PPid:\t(\d+)", Path(f"/proc/{found.pid}/status").read_text())
        assert parent is not None
        assert (found.inside, Path(f"/proc/{parent[1]}/comm").read_text()) == (int(pid), "slurmstepd\n")
    world.cancel("b1")


def test_a_cancel_reaches_every_node_and_the_script_outlives_them_and_says_how_it_ended(world: World):
    world.submit("b1", grace_s=2)
    world.wait_lines("b1", "start", 4)
    assert world.wait_state("b1", "running")["started_at"]
    assert world.cancel("b1")["state"] == "leaving"
    lines = world.wait_lines("b1", "end", 4)
    assert all(those[1:] == ["SIGTERM", "end"] for those in lines.values()), lines
    block = world.wait_state("b1", "cancelled")
    deadline = time.monotonic() + 30
    while not (world.home / "blocks/b1/ended").exists():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert (world.file("b1", "ended")["exit_code"], block["reason"]) == ("0", "")
    assert world.script_outlived_its_nodes("b1")


def test_a_node_that_ends_badly_is_named_and_does_not_end_the_others(world: World):
    world.submit("b1", seconds=4, node_init="[ $HOSTNAME != n2 ] || exit 9")
    lines = world.wait_lines("b1", "end", 3)
    assert "n2" not in lines
    block = world.wait_state("b1", "ended")
    assert block["reason"] == "n2 ended with exit code 9"


def test_a_wrong_worker_init_ends_the_block_with_its_own_words(world: World):
    world.submit("b1", worker_init="set -e\necho no such module: gdal >&2\nfalse\necho never")
    block = world.wait_state("b1", "failed")
    assert block["reason"] == "its script ended with exit code 1"
    assert "no such module: gdal" in world.said("b1")
    assert world.lines("b1") == {}


def test_a_worker_init_that_switches_shell_options_on_ends_nothing(world: World):
    world.submit("b1", seconds=2, code=3, worker_init="set -aeu -o pipefail", node_init="set -aeu")
    block = world.wait_state("b1", "failed")
    assert block["reason"] == ", ".join(f"n{n} ended with exit code 3" for n in (1, 2, 3, 4))
    assert {name for name in world.environ("b1", "n1") if name.lower().startswith("nunatak")} == {
        "NUNATAK_HOME", "NUNATAK_BLOCK_ENDS", "NUNATAK_BLOCK_STARTED", "NUNATAK_BLOCK_FILE",
    }  # fmt: skip


#: What cron gives its children.
_CRON = {"PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "LANG": "", "HOME": "/", "SQUEUE_STATES": "PENDING"}


def test_the_environment_is_the_same_from_cron_and_from_a_full_login_shell(world: World):
    profile = world.cluster.home / ".profile"
    profile.write_text('export PATH="$HOME/own:$PATH"\nmodule() { echo "loaded $*"; }\nexport -f module\nexport FROM_PROFILE=1\n')
    site = {"nodes_per_block": 1, "worker_init": "module gdal; export FROM_INIT=1", "node_init": "module node; export FROM_NODE=$HOSTNAME"}
    login = {"SECRET": "x", "VIRTUAL_ENV": "/x", "PYTHONPATH": "/x", "LD_LIBRARY_PATH": "/x", "LC_ALL": "C", "PATH": "/odd:/usr/bin:/bin"}
    seen = []
    for block_id, env in (("b1", login), ("b2", _CRON)):
        world.submit(block_id, seconds=0, env=env, **site)
        world.wait_state(block_id, "ended")
        node = next(iter(world.lines(block_id)))
        found = world.environ(block_id, node)
        assert (found["FROM_NODE"], found["HOSTNAME"]) == (node, node)
        assert "loaded gdal" in world.said(block_id)
        assert "loaded node" in world.said(block_id)
        seen.append({name: text for name, text in found.items() if not re.match("SLURM|NUNATAK_BLOCK|HOSTNAME$|FROM_NODE$", name)})
    assert seen[0] == seen[1]
    assert (seen[0]["FROM_PROFILE"], seen[0]["FROM_INIT"], seen[0]["LANG"]) == ("1", "1", "C.UTF-8")
    assert seen[0]["PATH"].startswith(f"{world.cluster.home}/own:")
    assert not {"SECRET", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH", "LC_ALL", "SQUEUE_STATES"} & set(seen[0])


def test_a_block_that_waits_says_why_in_words(world: World):
    world.submit("b1")
    world.wait_state("b1", "running")
    world.submit("b2")
    world.submit("b3", nodes_per_block=1)
    deadline = time.monotonic() + 60
    while True:
        found = {world.look(block_id)["reason"] for block_id in ("b2", "b3")}
        if found == {"it is next, and waits for nodes to become free", "jobs of higher priority are before it"}:
            break
        assert time.monotonic() < deadline, found
        time.sleep(1)
    for block_id in ("b2", "b3", "b1"):
        world.cancel(block_id)
    assert world.wait_state("b2", "cancelled")["started_at"] == ""


def test_a_definite_no_of_sbatch_is_shown_and_ends_the_block(world: World):
    (error,) = world.call("submit", "b1", json.dumps(SITE | {"partition": "nosuch"}), "true")
    assert error["kind"] == "SubmitFailed"
    assert "Invalid partition name specified" in error["error"]
    assert world.look("b1")["state"] == "failed"
    assert world.cluster.squeue() == []


def test_a_launcher_that_died_between_intent_and_number_leaves_a_block_that_another_finds_by_name(world: World):
    world.submit("b1")
    record = world.home / "record-b1"
    number = json.loads(record.read_text())["job_id"]
    record.write_text(json.dumps(json.loads(record.read_text()) | {"job_id": "", "state": "intended"}))
    (found,) = world.call("look", "b1", host="login2")
    assert (found["job_id"], found["state"] in ("waiting", "running")) == (number, True)
    world.cancel("b1")
    world.wait_state("b1", "cancelled")


def test_a_script_that_is_submitted_again_by_hand_does_nothing(world: World):
    world.submit("b1", seconds=0, nodes_per_block=1)
    world.wait_state("b1", "ended")
    (script,) = (world.home / "blocks/b1").glob("b1.[0-9]*")
    world.cluster.run("login", ["sbatch", "--wait", str(script)], timeout=60)
    assert world.look("b1")["state"] == "ended"
    assert "block b1 has ended; submit another one" in world.said("b1")
    assert sum(map(len, world.lines("b1").values())) == 2


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_warning_and_the_walltime_reach_every_node_and_that_is_a_good_end(own_world):
    world = own_world(nodes=2, settings={"KillWait": "8"})
    world.submit("b1", grace_s=2, nodes_per_block=2, walltime="00:01:00", warn_s=30)
    lines = world.wait_lines("b1", "end", 2, timeout_s=150)
    for those in lines.values():
        assert those[1] == "SIGUSR1"
        assert set(those[2:-1]) == {"SIGTERM"}
    block = world.wait_state("b1", "ended")
    assert block["reason"] == "its walltime was over"
    assert world.file("b1", "ended")["exit_code"] == "0"
    assert world.script_outlived_its_nodes("b1")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_node_that_dies_costs_the_others_nothing(own_world):
    world = own_world(nodes=4, settings={"SlurmdTimeout": "10"})
    world.submit("b1", seconds=45)
    world.wait_lines("b1", "start", 4)
    world.cluster.kill_node("n3")
    lines = world.wait_lines("b1", "end", 3)
    assert [node for node, those in lines.items() if those[-1] == "end"] == ["n1", "n2", "n4"]
    assert all(len(those) == 2 for node, those in lines.items() if node != "n3"), lines
    # srun itself calls a lost node no failure, where it is told to go on without.
    assert world.wait_state("b1", "ended")["state"] == "ended"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_node_that_reboots_before_slurm_has_noticed_costs_the_others_nothing(own_world):
    world = own_world(nodes=4, settings={"SlurmdTimeout": "60"})
    world.submit("b1", seconds=40)
    world.wait_lines("b1", "start", 4)
    world.cluster.kill_node("n3")
    world.cluster.start_node("n3")
    lines = world.wait_lines("b1", "end", 3)
    assert all(those[-1] == "end" and len(those) == 2 for node, those in lines.items() if node != "n3"), lines


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_nodes_go_on_when_the_batch_host_is_dead(own_world):
    world = own_world(nodes=4, settings={"SlurmdTimeout": "10"})
    world.submit("b1", seconds=45)
    world.wait_lines("b1", "start", 4)
    world.cluster.kill_node(world.file("b1", "started")["host"])
    lines = world.wait_lines("b1", "end", 3)
    assert all(those[-1] == "end" and len(those) == 2 for node, those in lines.items() if node != "n1"), lines
    assert world.look("b1")["state"] == "running"
    world.cancel("b1")
    world.wait_state("b1", "cancelled")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_frozen_controller_that_takes_a_failed_submission_when_it_wakes_leaves_one_block(own_world):
    world = own_world(nodes=1)
    folder = world.folder("b1")
    folder.mkdir()
    os.chown(folder, UID, -1)
    command = ["/usr/bin/python3", TASK, str(folder), "600", "0", "0"]
    world.cluster.daemon("freeze", "slurmctld")
    (error,) = world.call("submit", "b1", json.dumps(SITE | {"nodes_per_block": 1}), *command)
    assert error["kind"] == "SubmitFailed"
    assert world.look("b1")["state"] == "unknown"
    world.cluster.daemon("thaw", "slurmctld")
    found = world.wait_state("b1", "waiting", "running")
    assert len(world.cluster.squeue()) == 1
    assert found["job_id"].isdigit()
    world.cancel("b1")
    world.wait_state("b1", "cancelled")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_controller_that_is_away_when_a_block_starts_costs_it_no_node(own_world):
    world = own_world(nodes=2, settings={"SlurmctldTimeout": "20"})
    hold = world.cluster.home / "hold"
    hold.touch()
    world.submit("b1", seconds=1, nodes_per_block=2, worker_init=f"while [ -e {hold} ]; do sleep 0.2; done")
    world.wait_state("b1", "running")
    world.cluster.daemon("stop", "slurmctld")
    hold.unlink()
    time.sleep(20)
    assert world.lines("b1") == {}
    world.cluster.daemon("start", "slurmctld")
    world.wait_lines("b1", "end", 2, timeout_s=150)
    assert world.wait_state("b1", "ended")["reason"] == ""


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_no_node_is_bound_or_emptied_by_what_the_site_leaves_in_slurms_variables(own_world):
    settings = {"TaskPlugin": "task/affinity", "TaskPluginParam": "autobind=cores"}
    world = own_world(nodes=1, cpus=os.cpu_count(), settings=settings)
    init = "export SRUN_CPUS_PER_TASK=1 SLURM_EXPORT_ENV=NONE FROM_INIT=1"
    world.submit("b1", seconds=0, nodes_per_block=1, scheduler_options="#SBATCH --cpus-per-task=1", worker_init=init)
    lines = world.wait_lines("b1", "end", 1)
    assert world.environ("b1", "n1")["FROM_INIT"] == "1"
    assert len(json.loads(lines["n1"][0].split(" ", 2)[2])) == os.cpu_count()
