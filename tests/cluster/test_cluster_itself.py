"""The test cluster is what it says: real Slurm, real hosts, and faults that do what their names say."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster import fixtures, freezer, user
from cluster.program import ENVIRONMENT, TESTS
from cluster.slurm_cluster import ENTRY, Cluster
from cluster.talk import talk
from servers import wait_until

NewCluster = Callable[..., Cluster]


def _boot_id(cluster: Cluster, host: str) -> str:
    return cluster.run(host, ["cat", "/proc/sys/kernel/random/boot_id"], check=True).stdout


# -- hosts --------------------------------------------------------------------------------------------------------------------------------


def test_an_ordinary_users_job_runs_on_four_nodes(shared_cluster):
    shown = shared_cluster.run("login", ["srun", "-N4", "bash", "-c", "echo $(hostname) $(id -un) $PWD"], check=True).stdout
    assert sorted(shown.splitlines()) == [f"{node} alice {shared_cluster.home}" for node in shared_cluster.nodes]


def test_the_home_is_shared_and_temporary_places_are_each_hosts_own(shared_cluster):
    shared_cluster.run("login", ["touch", shared_cluster.home / "shared", "/tmp/own", "/dev/shm/own"], check=True)
    shown = shared_cluster.run("n1", ["bash", "-c", "ls ~ /tmp/own /dev/shm/own /var/tmp"])
    assert "shared" in shown.stdout
    assert shown.stderr.count("No such file") == 2
    assert (shared_cluster.home / "shared").stat().st_uid == user.UID


def test_every_host_has_a_name_a_boot_and_processes_of_its_own(shared_cluster):
    assert len({_boot_id(shared_cluster, host) for host in shared_cluster.hosts}) == len(shared_cluster.hosts)
    for host in ("ctl", "login", "login2", "n4"):
        assert shared_cluster.run(host, ["hostname"]).stdout == f"{host}\n"
        assert shared_cluster.run(host, ["cat", "/proc/1/cmdline"]).stdout.startswith(f"init[{host}]")


def test_a_command_has_the_environment_of_a_login_and_nothing_of_the_tests(shared_cluster, monkeypatch):
    monkeypatch.setenv("NUNATAK_HOME", "elsewhere")
    shown = shared_cluster.run("login", ["env"], env={"ADDED": "1"}).stdout.splitlines()
    assert {line.partition("=")[0] for line in shown} == {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "ADDED"}


def test_the_ordinary_user_runs_nunatak_on_every_kind_of_host(shared_cluster):
    assert shared_cluster.nunatak("--version").stdout.startswith("nunatak, version ")
    started = shared_cluster.nunatak("broker", "start", "--bind", "all")
    assert started.returncode == 0, started.stderr
    for host in ("n1", "login2"):
        status = shared_cluster.nunatak("broker", "status", host=host)
        assert status.stdout.startswith("running on login,"), status
    assert shared_cluster.nunatak("broker", "stop").returncode == 0


def test_the_scripts_of_the_services_start_a_broker_and_flower(shared_cluster):
    broker = shared_cluster.popen("login", ["bash", ENTRY / "broker.sh"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    running = lambda: shared_cluster.nunatak("broker", "status", host="n1").stdout.startswith("running on login,")  # noqa: E731
    wait_until(running, 30, "the broker, as seen from n1")
    shared_cluster.leave("login2", ["bash", ENTRY / "flower.sh"])
    ask = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:5555/healthcheck', timeout=5).read())"
    wait_until(lambda: "OK" in shared_cluster.run("login2", ["python3", "-c", ask]).stdout, 60, "Flower to be healthy")
    broker.terminate()
    assert broker.wait(30) == 0
    assert not shared_cluster.pids_on("login", user="alice")


def test_a_signal_reaches_the_command_and_a_kill_the_command_alone(shared_cluster):
    trap = "trap 'echo heard; exit 3' TERM; echo ready; while :; do sleep 0.1; done"
    process = shared_cluster.popen("n1", ["bash", "-c", trap], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.communicate(timeout=10)[0] == "heard\n"
    assert process.returncode == 3

    process = shared_cluster.popen("n1", ["bash", "-c", "sleep 777 & echo ready; wait"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.kill()
    assert process.wait(10) == -signal.SIGKILL
    wait_until(lambda: not shared_cluster.pids_on("n1", user="alice", name="bash"), 10, "the command to be gone")
    assert shared_cluster.pids_on("n1", user="alice", name="sleep")


def test_a_cancelled_job_is_killed_with_what_it_left_behind(shared_cluster):
    script = "#!/bin/bash\nsetsid sleep 1234 &\nsleep 1234\n"
    job = shared_cluster.run("login", ["sbatch", "--parsable", "-N1", "-o", "/dev/null"], input=script, check=True).stdout.strip()
    sleepers = lambda: [p for node in shared_cluster.nodes for p in shared_cluster.pids_on(node, name="sleep", word="1234")]  # noqa: E731
    wait_until(lambda: len(sleepers()) == 2, 20, "the job's processes")
    shared_cluster.run("login", ["scancel", job], check=True)
    wait_until(lambda: not sleepers(), 30, "the job's processes to be gone")


def test_autobind_pins_a_single_task_to_one_core(new_cluster: NewCluster):
    cpus = os.cpu_count() or 1
    cluster = new_cluster(nodes=1, cpus=cpus, settings={"TaskPlugin": "task/affinity", "TaskPluginParam": "autobind=cores"})
    step = "srun -N1 -n1 {} python3 -c 'import os; print(len(os.sched_getaffinity(0)))'"
    script = "\n".join(["#!/bin/bash", step.format(""), step.format("--cpu-bind=none"), ""])
    cluster.run("login", ["sbatch", "--wait", "--exclusive", "-N1", "-o", "seen"], input=script, check=True)
    assert (cluster.home / "seen").read_text().split() == ["1", str(cpus)]


def test_partitions_have_the_names_and_limits_that_were_asked_for(new_cluster: NewCluster):
    cluster = new_cluster(nodes=2, partitions={"skx-normal": "MaxTime=02:00:00", "small": "MaxNodes=1"})
    shown = cluster.run("login", ["sinfo", "-h", "-o", "%P %l %s"]).stdout.splitlines()
    assert shown == ["skx-normal* 2:00:00 1-infinite", "small infinite 1"]


# -- faults -------------------------------------------------------------------------------------------------------------------------------


def test_a_killed_node_says_nothing_and_a_booted_one_is_new(cluster):
    cluster.run("n1", ["touch", "/dev/shm/left"], check=True)
    before = _boot_id(cluster, "n1")
    with talk(cluster, "login", "n1") as connection:
        cluster.kill_node("n1")
        assert cluster.pids_on("n1") == ()
        connection.say("are you there")
        wait_until(connection.is_unanswered, 10, "something that nobody acknowledges")
        assert connection.is_unanswered()
    cluster.start_node("n1")
    cluster.wait_idle("n1")
    assert _boot_id(cluster, "n1") != before
    assert cluster.run("n1", ["ls", "/dev/shm"], check=True).stdout == ""
    assert cluster.run("login", ["srun", "-N4", "hostname"], check=True).stdout.count("n1") == 1


def test_a_cut_is_silence_and_a_heal_brings_what_was_underway(cluster):
    with talk(cluster, "login", "n1") as cut_off, talk(cluster, "login2", "n2") as other:
        cluster.cut("n1")
        cut_off.say("through the cut")
        wait_until(cut_off.is_unanswered, 10, "something that nobody acknowledges")
        other.say("beside it")
        assert other.heard() == "beside it"
        cluster.heal("n1")
        assert cut_off.heard() == "through the cut"


def test_a_pair_can_be_cut_and_both_talk_to_others(cluster):
    with talk(cluster, "login", "n1") as pair, talk(cluster, "login2", "n2") as other:
        cluster.cut("n1", peer="login")
        pair.say("through the cut")
        wait_until(pair.is_unanswered, 10, "something that nobody acknowledges")
        other.say("beside it")
        assert other.heard() == "beside it"
        assert cluster.run("n1", ["scontrol", "ping"]).returncode == 0
        assert cluster.run("login", ["scontrol", "ping"]).returncode == 0
        cluster.heal("n1", peer="login")
        assert pair.heard() == "through the cut"


@pytest.mark.parametrize("has_freezer", [True, False], ids=["freezer", "signals"])
def test_a_frozen_host_stands_still_and_what_was_stopped_before_stays_so(new_cluster: NewCluster, has_freezer: bool):
    cluster = new_cluster(nodes=1, freezer=has_freezer)
    file = cluster.home / "ticks"
    cluster.leave("n1", ["bash", "-c", f"while :; do echo >> {file}; sleep 0.02; done"])
    cluster.leave("n1", ["sleep", "4321"])
    sleeper = wait_until(lambda: cluster.pids_on("n1", name="sleep", word="4321"), 10, "the sleeper")[0]
    os.kill(sleeper.pid, signal.SIGSTOP)
    wait_until(lambda: cluster.pids_on("n1", word="4321")[0].state == "T", 10, "the sleeper to be stopped")
    wait_until(file.exists, 10, "a tick")
    cluster.freeze("n1")
    size = file.stat().st_size
    # Fifteen ticks' time: that nothing happens can only be waited for.
    time.sleep(0.3)
    assert file.stat().st_size == size
    cluster.thaw("n1")
    wait_until(lambda: file.stat().st_size > size, 10, "ticks after the thaw")
    assert [process.state for process in cluster.pids_on("n1", word="4321")] == ["T"]


def test_slurmctld_can_be_stopped_killed_and_frozen(new_cluster: NewCluster):
    cluster = new_cluster(nodes=1, settings={"MessageTimeout": "2"})
    job = cluster.run("login", ["sbatch", "--parsable", "-o", "/dev/null"], input="#!/bin/bash\nsleep 1000\n", check=True).stdout.strip()
    for action in ("stop", "kill"):
        cluster.daemon(action, "slurmctld")
        refused = cluster.run("login", ["scontrol", "ping"])
        assert "DOWN" in refused.stdout
        cluster.daemon("start", "slurmctld")
        assert cluster.squeue("-o", "%i") == [job]
    cluster.daemon("freeze", "slurmctld")
    asked = cluster.popen("login", ["squeue", "-h", "-o", "%i"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        asked.wait(1)
    cluster.daemon("thaw", "slurmctld")
    asked.communicate(timeout=60)
    assert cluster.squeue("-o", "%i") == [job]


def test_a_cluster_without_a_freezer_runs_jobs_too(new_cluster: NewCluster):
    cluster = new_cluster(nodes=2, freezer=False)
    assert "ProctrackType=proctrack/linuxproc" in (cluster.folder / "etc" / "slurm" / "slurm.conf").read_text()
    assert cluster.run("login", ["srun", "-N2", "hostname"], check=True).stdout.split() != []


# -- the end ------------------------------------------------------------------------------------------------------------------------------


def _processes_of(folder: Path) -> list[int]:
    word = f"NUNATAK_CLUSTER={folder}".encode()
    return [int(place.name) for place in Path("/proc").iterdir() if place.name.isdecimal() and word in _environment(place).split(b"\0")]


def _environment(place: Path) -> bytes:
    try:
        return (place / "environ").read_bytes()
    except OSError:
        return b""


def _machine() -> tuple[str, str, list[str]]:
    """Mounts, network devices and freezer groups of the machine, which no cluster may change."""
    groups = sorted(str(group) for group in Path("/sys/fs/cgroup/freezer").glob("nunatak-*"))
    return Path("/proc/self/mounts").read_text(), ",".join(sorted(os.listdir("/sys/class/net"))), groups


def test_nothing_is_left_after_down(new_cluster: NewCluster):
    before = _machine()
    cluster = new_cluster(nodes=2)
    cluster.leave("n1", ["sleep", "1000"])
    cluster.freeze("n2")
    assert _machine()[:2] == before[:2]
    inside = [process.pid for host in cluster.hosts for process in cluster.pids_on(host)]
    assert len(inside) > 8
    cluster.down()
    assert _machine() == before
    assert _processes_of(cluster.folder) == []
    assert [pid for pid in inside if Path(f"/proc/{pid}").exists()] == []
    assert not cluster.folder.exists()


def test_two_clusters_are_up_at_once_and_know_nothing_of_each_other(new_cluster: NewCluster):
    one, other = new_cluster(nodes=1), new_cluster(nodes=2)
    one.cut("n1")
    assert other.run("login", ["srun", "-N2", "hostname"], check=True).stdout.count("n1") == 1
    one.down()
    assert other.run("login", ["srun", "-N2", "hostname"], check=True).stdout.count("n2") == 1


def test_a_killed_test_leaves_nothing_after_the_next_start():
    program = "from cluster import fixtures, slurm_conf\ncluster = fixtures.make_cluster(slurm_conf.Shape(nodes=1))\n"
    command = [sys.executable, "-c", program + "print(cluster.folder, flush=True)\ninput()"]
    env = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    assert _processes_of(folder)
    process.kill()
    process.communicate()
    wait_until(lambda: not _processes_of(folder), 20, "the hosts to end with their test")
    fixtures.sweep()
    assert not folder.exists()
    assert [group for group in _machine()[2] if freezer.group_of(folder) in group] == []


def test_a_person_brings_one_up_and_another_command_finds_it(tmp_path):
    folder = tmp_path / "cluster"
    env = {**ENVIRONMENT, "NUNATAK_CLUSTER": str(folder)}

    def command(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "cluster.command", *words], env=env, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        assert "2 nodes idle" in command("up", "2", "--partition", "skx-normal")
        assert command("exec", "login", "--", "sinfo", "-h", "-o", "%P %D %T").strip() == "skx-normal* 2 idle"
        command("kill-node", "n2")
        assert "n2       killed" in command("status")
    finally:
        command("down")
    assert not folder.exists()
    assert _processes_of(folder) == []
