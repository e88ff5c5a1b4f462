"""The broker on a real cluster: swept from its login host, back there, on another login host, or in a batch job (LEASES rules 8 and 9)."""

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest
from cluster.slurm_cluster import Cluster
from cluster.user import UID
from servers import wait_until

#: The rules' times, a twentieth: what is watched for 200 s takes 10.
_CONFIG = """[lease]
lease_s = 15
margin_s = 3
renew_every_s = 2
beat_every_s = 0.75
beat_fresh_s = 3
reap_every_s = 1
[server]
bind = "all"
"""
_SITE = 'provider = "slurm"\npartition = "main"\nwalltime = "00:10:00"\npoll_every_s = 1\nsu_per_node_hour = 0\n'

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def farm(cluster: Cluster) -> Cluster:
    """Alice's home with times of seconds, a site and two jobfiles."""
    folders = [cluster.home / ".nunatak", cluster.home / ".nunatak" / "sites", cluster.home / "jobs"]
    for folder in folders:
        folder.mkdir(mode=0o700)
    files = {folders[0] / "config.toml": _CONFIG, folders[1] / "mine.toml": _SITE}
    files |= {folders[2] / f"qsub_{n}.sh": "#!/bin/bash\nexit 0\n" for n in (1, 2)}
    for path, text in files.items():
        path.write_text(text)
    for path in (*folders, *files):
        os.chown(path, UID, UID)
    return cluster


def status(cluster: Cluster, host: str) -> dict:
    said = cluster.nunatak("broker", "status", "--json", host=host)
    return json.loads(said.stdout) if said.stdout else {}


def start(cluster: Cluster, host: str, *options: str) -> dict:
    said = cluster.nunatak("broker", "start", *options, host=host, timeout=120)
    assert said.returncode == 0, said.stderr
    return status(cluster, host)


def waiting(cluster: Cluster, host: str) -> int:
    return int(json.loads(cluster.nunatak("status", "--json", host=host, timeout=120).stdout)["queued"])


def tick(cluster: Cluster, host: str) -> None:
    """What cron does each minute."""
    said = cluster.nunatak("blocks", "tick", host=host, timeout=120)
    assert said.returncode == 0, said.stderr


def sweep(cluster: Cluster, host: str, number: signal.Signals = signal.SIGKILL) -> None:
    """What a login host's security sweep does."""

    def is_swept() -> bool:
        found = [p for p in cluster.pids_on(host) if p.state != "Z" and p.name != "munged"]
        for one in found:
            # Some end because others do.
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, number)
        return not found

    wait_until(is_swept, 10, "the swept processes to be gone")


def servers_on(cluster: Cluster, host: str) -> int:
    return len([p for p in cluster.pids_on(host) if any(word.endswith("server.conf") for word in p.argv)])


def hosts_with_a_server(cluster: Cluster) -> list[str]:
    return [host for host in cluster.hosts if cluster.is_up(host) and servers_on(cluster, host)]


def submit(cluster: Cluster, *options: str) -> str:
    said = cluster.nunatak("broker", "submit", "-f", "mine", "--yes", *options, timeout=120)
    assert said.returncode == 0, said.stderr
    return said.stdout.split()[1]


def lives_on(cluster: Cluster, hosts: tuple[str, ...]) -> str:
    """The host of these where the broker works by now."""

    def found() -> str:
        now = status(cluster, "login2")
        return now["host"] if now.get("running") and now["host"] in hosts and now["beat_age_s"] is not None else ""

    return str(wait_until(found, 60, f"the broker to be on one of {hosts}"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_broker_swept_from_its_login_host_is_back_there_with_the_queue_at_the_next_tick_of_cron(farm: Cluster, number):
    assert farm.nunatak("enqueue", str(farm.home / "jobs"), timeout=120).returncode == 0
    assert status(farm, "login")["host"] == "login"
    sweep(farm, "login", number)
    tick(farm, "login")
    assert (status(farm, "login")["host"], status(farm, "login")["epoch"]) == ("login", 1)
    assert waiting(farm, "login") == 2


def test_a_broker_that_its_user_has_stopped_is_left_so_by_cron(farm: Cluster):
    start(farm, "login")
    assert farm.nunatak("broker", "stop", timeout=120).returncode == 0
    tick(farm, "login")
    assert not status(farm, "login")["running"]
    # A stop says so too of one that a sweep has ended.
    start(farm, "login")
    sweep(farm, "login", signal.SIGTERM)
    assert farm.nunatak("broker", "stop", timeout=120).returncode == 0
    tick(farm, "login")
    assert not status(farm, "login")["running"]


def test_a_login_host_that_died_is_followed_by_another_once_its_heartbeat_stood_still(farm: Cluster):
    farm.nunatak("enqueue", str(farm.home / "jobs"), timeout=120)
    farm.kill_node("login")
    said = farm.nunatak("status", host="login2", timeout=120)
    assert "watching for 10 s" in said.stderr
    assert waiting(farm, "login2") == 2
    assert (status(farm, "login2")["host"], status(farm, "login2")["epoch"]) == ("login2", 2)
    # Rebooted, it finds the broker where it is.
    farm.start_node("login")
    assert waiting(farm, "login") == 2
    assert hosts_with_a_server(farm) == ["login2"]


def test_two_login_hosts_that_do_not_see_each_other_never_have_two_brokers_that_work(farm: Cluster):
    start(farm, "login")
    farm.cut("login")
    # Its heartbeat moves on the shared filesystem: it lives, and is left alone, whoever asks.
    refused = farm.nunatak("broker", "start", host="login2", timeout=120)
    assert refused.returncode == 3
    assert "its heartbeat moves" in refused.stderr
    assert hosts_with_a_server(farm) == ["login"]
    farm.heal("login")
    assert start(farm, "login2")["host"] == "login"


def test_a_frozen_login_host_that_wakes_up_finds_a_newer_broker_and_stops_its_own(farm: Cluster):
    farm.nunatak("enqueue", str(farm.home / "jobs"), timeout=120)
    farm.freeze("login")
    assert start(farm, "login2")["epoch"] == 2
    farm.thaw("login")
    wait_until(lambda: hosts_with_a_server(farm) == ["login2"], 60, "the old server to be stopped")
    assert waiting(farm, "login") == 2
    assert status(farm, "login")["host"] == "login2"


def test_a_batch_job_fetches_the_broker_and_gives_it_back_before_its_walltime_ends(farm: Cluster):
    farm.nunatak("enqueue", str(farm.home / "jobs"), timeout=120)
    job = submit(farm)
    node = lives_on(farm, farm.nodes)
    assert waiting(farm, "login") == 2
    assert hosts_with_a_server(farm) == [node]
    # It is not submitted twice, and no launcher takes it for a block of workers.
    again = farm.nunatak("broker", "submit", "-f", "mine", "--yes", timeout=120)
    assert (again.returncode, f"job {job} of the broker is running" in again.stderr) == (2, True), again.stderr
    assert json.loads(farm.nunatak("status", "--json").stdout)["blocks"] == 0
    assert status(farm, "login")["job_id"] == job
    # The warning that Slurm sends some time before the walltime ends.
    farm.run("login", ["scancel", "-s", "USR1", job], check=True)
    wait_until(lambda: hosts_with_a_server(farm) == [], 60, "the server to be stopped")
    assert "it was stopped" in status(farm, "login")["reason"]
    # In good order, so nobody watches for anything.
    tick(farm, "login2")
    assert status(farm, "login")["host"] == "login2"
    assert waiting(farm, "login") == 2
    wait_until(lambda: job not in "".join(farm.squeue("-t", "PD,R,CG", "-o", "%i")), 60, "the job to end")
    assert submit(farm) != job


@pytest.mark.slow
def test_a_job_that_reaches_its_walltime_has_stopped_the_broker_before(farm: Cluster):
    site = farm.home / ".nunatak" / "sites" / "mine.toml"
    site.write_text(_SITE + "warn_s = 30\n")
    start(farm, "login")
    submit(farm, "--walltime", "00:01:00")
    lives_on(farm, farm.nodes)
    wait_until(lambda: hosts_with_a_server(farm) == [], 120, "the server to be stopped")
    assert "it was stopped" in status(farm, "login")["reason"]


def test_a_cancelled_job_and_a_dead_node_lose_nothing(farm: Cluster):
    farm.nunatak("enqueue", str(farm.home / "jobs"), timeout=120)
    first = submit(farm)
    lives_on(farm, farm.nodes)
    farm.run("login", ["scancel", first], check=True)
    wait_until(lambda: hosts_with_a_server(farm) == [], 60, "the server of the cancelled job to end")
    assert waiting(farm, "login") == 2
    assert status(farm, "login")["host"] == "login"
    wait_until(lambda: first not in "".join(farm.squeue("-t", "PD,R,CG", "-o", "%i")), 60, "the job to end")
    submit(farm)
    node = lives_on(farm, farm.nodes)
    farm.kill_node(node)
    assert waiting(farm, "login") == 2
    assert status(farm, "login")["host"] == "login"


def test_the_doctor_asks_a_node_and_finds_all_well(farm: Cluster):
    said = farm.nunatak("doctor", "-f", "mine", "--job", "--yes", "--json", timeout=180)
    found = {check["check"]: check for check in json.loads(said.stdout)["checks"]}
    well = ("python", "server", "broker", "bind", "programs", "home", "reach", "node", "slurm", "sbatch", "secrets", "clock")
    assert {name: found[name]["result"] for name in well} == dict.fromkeys(well, "ok"), said.stdout
    assert said.returncode == 0
    assert "seen by node n" in found["home"]["text"]
    wait_until(lambda: not farm.squeue("-h", "-t", "PD,R"), 60, "the test job to be gone")


def test_the_doctor_finds_a_home_that_no_node_sees_and_a_partition_that_is_not_there(farm: Cluster):
    site = Path(farm.home) / ".nunatak" / "sites" / "mine.toml"
    site.write_text(_SITE.replace('"main"', '"nope"'))
    said = farm.nunatak("doctor", "-f", str(site), "--json", timeout=120, env={"NUNATAK_HOME": "/tmp/queue"})
    found = {check["check"]: check for check in json.loads(said.stdout)["checks"]}
    assert (said.returncode, found["home"]["result"], found["sbatch"]["result"]) == (1, "bad", "bad"), said.stdout
    assert "invalid partition" in found["sbatch"]["text"]
