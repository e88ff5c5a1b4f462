"""The commands, Flower and Celery's own questions, while a real node runs real jobfiles."""

import base64
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import servers
from whole.machine import Machine, Node, machine_in, read_file
from whole.proc import cmdline, descendants, is_alive

from broker.records import State
from tasks.app import make_app

_JOB_KEYS = [
    "jobfile", "campaign", "state", "attempt", "failures", "deliveries", "priority", "exit_code", "reason", "node", "block",
    "queued_at", "started_at", "ended_at", "elapsed_s", "cpu_s", "max_rss_mb",
]  # fmt: skip
_WORKER_KEYS = ["worker", "node", "block", "site", "pid", "guard_pid", "slots", "running", "frozen", "state", "last_contact_s"]
_NODE = os.uname().nodename


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Node]]:
    """One broker and one node with four slots for all tests of this file; each has jobfiles and a campaign of its own."""
    with machine_in(tmp_path_factory.mktemp("live")) as machine:
        machine.quicken(WORKER_TERM_GRACE_S="0.5")
        assert machine.call("broker", "start").code == 0
        yield machine, machine.start_node("live", slots=4)


@pytest.fixture
def node(live: tuple[Machine, Node]) -> Node:
    return live[1]


@pytest.fixture
def campaign(live: tuple[Machine, Node], request: pytest.FixtureRequest) -> Iterator["Campaign"]:
    """A directory of its own for the test; whatever it leaves is cancelled."""
    made = Campaign(live[0], request.node.name.removeprefix("test_")[:40])
    yield made
    live[0].call("resume", made.name)
    live[0].call("cancel", "--campaign", made.name)
    servers.wait_until(lambda: not {State.QUEUED, State.RUNNING} & set(made.states().values()), 20, "the test's jobfiles to end")


class Campaign:
    """One test's jobfiles on the shared machine."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine, self.name = machine, name
        self.folder = machine.folder / name
        self.folder.mkdir()

    def write(self, name: str, text: str) -> None:
        (self.folder / f"qsub_{self.name}_{name}.sh").write_text(f"#!/bin/bash\n{text}\n")

    def path(self, name: str, suffix: str = "") -> Any:
        return self.folder / f"qsub_{self.name}_{name}.sh{suffix}"

    def enqueue(self, *words: str) -> None:
        said = self.machine.call("enqueue", str(self.folder), "--campaign", self.name, *words)
        assert said.code == 0, said

    def job(self, name: str) -> dict[str, Any]:
        return next(j for j in self.machine.call("jobs", "--json", "--campaign", self.name).lines if j["jobfile"] == str(self.path(name)))

    def states(self) -> dict[str, State]:
        jobs = self.machine.ledger().jobs(self.name)
        return {job.name.removeprefix(f"qsub_{self.name}_").removesuffix(".sh"): job.state for job in jobs}

    def wait(self, timeout_s: float = 20, **states: State) -> None:
        servers.wait_until(lambda: states.items() <= self.states().items(), timeout_s, f"{states}; {self.states()}")


def test_a_cancelled_jobfile_ends_within_seconds_with_everything_that_it_has_started(campaign: Campaign, wait_until: Callable[..., Any]):
    campaign.write("A", f"setsid sleep 301 &\ntimeout 302 sleep 303 &\necho $$ > {campaign.folder}/pid\nsleep 304")
    campaign.enqueue()
    pid = int(wait_until(read_file(campaign.folder / "pid"), 20, "the jobfile to run"))
    tree = [pid, *wait_until(lambda: len(found := descendants(pid)) >= 4 and found, 5, "its whole tree")]
    assert campaign.machine.call("cancel", str(campaign.path("A"))).code == 0
    asked = time.monotonic()
    wait_until(lambda: not any(map(is_alive, tree)), 4, f"the tree to end: {[cmdline(p) for p in tree]}")
    assert time.monotonic() - asked < 2.5
    campaign.wait(A=State.CANCELLED)
    job = campaign.job("A")
    assert (job["state"], job["reason"], job["failures"]) == ("cancelled", "cancelled", 0)


def test_a_paused_campaign_starts_nothing_and_goes_on_when_resumed(campaign: Campaign):
    campaign.write("A", f"until [ -e {campaign.folder}/go ]; do sleep 0.1; done")
    campaign.write("B", "echo ok")
    campaign.enqueue("--per-node", "1")
    campaign.wait(A=State.RUNNING, B=State.QUEUED)
    assert campaign.machine.call("pause", campaign.name, "--reason", "lunch").code == 0
    (campaign.folder / "go").touch()
    # What ran goes on to its end, and makes room that is not taken.
    campaign.wait(A=State.DONE)
    status = campaign.machine.call("status", "--json").json["campaigns"][campaign.name]
    assert (status["paused"], status["queued"], status["done"]) == ("lunch", 1, 1)
    assert campaign.states()["B"] is State.QUEUED
    assert campaign.machine.call("resume", campaign.name).code == 0
    campaign.wait(B=State.DONE)


def test_retry_runs_what_failed_once_more_and_show_lists_all_attempts(campaign: Campaign):
    campaign.write("A", f'[ -e {campaign.folder}/fixed ] || exit $((NUNATAK_ATTEMPT + 4)); echo "at last"')
    campaign.enqueue("--retries", "1")
    campaign.wait(A=State.FAILED)
    assert campaign.machine.call("wait", campaign.name).code == 1
    (campaign.folder / "fixed").touch()
    assert campaign.machine.call("retry", str(campaign.path("A"))).code == 0
    assert campaign.machine.call("wait", campaign.name).code == 0
    shown = campaign.machine.call("show", str(campaign.path("A")), "--json").json
    assert [(a["attempt"], a["ending"], a["exit_code"], a["block"]) for a in shown["attempts"]] == [
        (1, "failed", 5, "live"), (2, "failed", 6, "live"), (3, "done", 0, "live"),
    ]  # fmt: skip
    assert (shown["state"], shown["failures"], shown["deliveries"], shown["losses"]) == ("done", 0, 3, 0)
    text = campaign.machine.call("show", str(campaign.path("A"))).out
    for words in ("exit code 5", "exit code 6", "done"):
        assert words in text


def test_wait_exits_0_when_all_is_done_and_waits_for_what_runs(campaign: Campaign):
    campaign.write("A", f"until [ -e {campaign.folder}/go ]; do sleep 0.1; done")
    campaign.enqueue()
    waiting = campaign.machine.popen("wait", campaign.name)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.communicate(timeout=1.5)
    (campaign.folder / "go").touch()
    out, err = waiting.communicate(timeout=20)
    assert (waiting.returncode, out) == (0, ""), err
    assert campaign.machine.call("wait", "no-such-campaign").code == 2


def test_what_runs_for_longer_than_its_max_is_ended_and_not_tried_again(campaign: Campaign):
    campaign.write("header", "#NUNATAK max=1s\nsleep 300")
    campaign.write("fine", "sleep 0.1")
    campaign.enqueue("--max", "2s")
    campaign.wait(header=State.FAILED, fine=State.DONE)
    job = campaign.job("header")
    assert (job["reason"], job["attempt"], job["exit_code"]) == ("ran for longer than its max", 1, None)
    assert 1 <= job["elapsed_s"] < 2


def test_log_follows_a_running_jobfile_over_all_its_attempts(campaign: Campaign):
    first, second = campaign.folder / "first", campaign.folder / "second"
    campaign.write("A", f"echo attempt $NUNATAK_ATTEMPT; until [ -e {first} ]; do sleep 0.1; done\n"
                        f"[ $NUNATAK_ATTEMPT = 1 ] && exit 1\nuntil [ -e {second} ]; do sleep 0.1; done; echo bye")  # fmt: skip
    campaign.enqueue()
    campaign.wait(A=State.RUNNING)
    following = campaign.machine.popen("log", str(campaign.path("A")), "-f")
    assert following.stdout is not None
    assert following.stdout.readline() == "attempt 1\n"
    first.touch()
    assert following.stdout.readline() == "attempt 2\n"
    second.touch()
    out, err = following.communicate(timeout=20)
    assert (following.returncode, out) == (0, "bye\n"), err
    assert campaign.machine.call("log", str(campaign.path("A")), "--attempt", "1").out == "attempt 1\n"


def test_a_new_priority_holds_for_what_waits(campaign: Campaign):
    gate, log = campaign.folder / "gate", campaign.folder / "order"
    campaign.write("A", f"until [ -e {gate} ]; do sleep 0.1; done")
    campaign.write("B", f"echo B >> {log}")
    campaign.enqueue("--per-node", "1", "--priority", "8")
    campaign.wait(A=State.RUNNING)
    other = Campaign(campaign.machine, f"{campaign.name}_2")
    other.write("C", f"echo C >> {log}")
    other.enqueue("--per-node", "1", "--priority", "1")
    said = campaign.machine.call("set", other.name, "priority=9")
    assert (said.code, "1 waiting jobfiles go by it" in said.err) == (0, True)
    gate.touch()
    campaign.wait(B=State.DONE)
    assert log.read_text().split() == ["C", "B"]
    assert other.job("C")["priority"] == 9


def test_jobs_and_workers_have_exactly_the_keys_of_the_contract(campaign: Campaign, node: Node):
    campaign.write("A", f"until [ -e {campaign.folder}/go ]; do sleep 0.1; done; exit 2")
    campaign.enqueue("--retries", "0")
    campaign.wait(A=State.RUNNING)
    servers.wait_until(lambda: campaign.job("A")["started_at"], 5, "the broker to hear of the start")
    job = campaign.job("A")
    assert list(job) == _JOB_KEYS
    assert {"campaign": campaign.name, "state": "running", "node": _NODE, "block": "live"}.items() <= job.items()
    assert {"attempt": 1, "failures": 0, "deliveries": 1, "priority": 5}.items() <= job.items()
    assert [name for name in _JOB_KEYS if job[name] is None] == ["exit_code", "reason", "ended_at", "cpu_s", "max_rss_mb"]
    (worker,) = campaign.machine.call("workers", "--json").lines
    assert list(worker) == _WORKER_KEYS
    assert {"worker": f"live.{_NODE}", "node": _NODE, "block": "live", "site": "local"}.items() <= worker.items()
    assert {"slots": 4, "running": 1, "frozen": 0, "state": "running"}.items() <= worker.items()
    assert (worker["pid"], worker["guard_pid"]) == (node.worker, node.guard)
    assert 0 <= worker["last_contact_s"] < 3
    (campaign.folder / "go").touch()
    campaign.wait(A=State.FAILED)
    job = campaign.job("A")
    assert list(job) == _JOB_KEYS
    assert [name for name in _JOB_KEYS if job[name] is None] == []
    assert (job["exit_code"], job["reason"], job["failures"]) == (2, "exit code 2", 1)
    assert job["queued_at"] <= job["started_at"] <= job["ended_at"]


# -- Celery's own ways of looking -------------------------------------------------------------------------------------------------------


@pytest.fixture
def flower(campaign: Campaign) -> Iterator[Callable[[str], Any]]:
    """Flower on a free port; called with a path, it answers what the HTTP API does."""
    process = campaign.machine.popen("flower")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    password = (campaign.machine.home.root / "flower-password").read_text().strip()
    login = "Basic " + base64.b64encode(f"nunatak:{password}".encode()).decode()

    def get(path: str) -> Any:
        with urllib.request.urlopen(urllib.request.Request(url + path, headers={"Authorization": login}), timeout=20) as answer:
            return json.load(answer)

    yield get
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_flower_shows_the_runs_jobfiles_with_their_ends_and_the_worker_with_its_node(
    campaign: Campaign, flower: Callable[[str], Any], wait_until: Callable[..., Any]
):
    # It hears what happens while it is connected; the worker says that it lives, too, so that is waited for.
    wait_until(lambda: flower("/api/workers?refresh=1"), 30, "Flower to hear of the worker")
    campaign.write("good", "echo ok")
    campaign.write("bad", "exit 3")
    campaign.write("flaky", "[ $NUNATAK_ATTEMPT = 2 ]")
    campaign.write("slow", f"until [ -e {campaign.folder}/go ]; do sleep 0.1; done")
    campaign.enqueue("--retries", "1")
    campaign.wait(good=State.DONE, bad=State.FAILED, flaky=State.DONE, slow=State.RUNNING)

    def shown() -> dict[str, dict[str, Any]]:
        tasks = flower("/api/tasks").values()
        return {name: task for task in tasks for name in ("good", "bad", "flaky", "slow") if str(campaign.path(name)) in task["args"]}

    def states() -> dict[str, str]:
        return {name: task["state"] for name, task in shown().items()}

    expected = {"good": "SUCCESS", "bad": "FAILURE", "flaky": "SUCCESS", "slow": "STARTED"}
    wait_until(lambda: states() == expected, 10, f"Flower to show {expected}; now {states()}")
    assert {task["worker"] for task in shown().values()} == {f"live@{_NODE}"}
    assert {task["name"] for task in shown().values()} == {"nunatak.run_jobfile"}
    assert list(flower("/api/workers")) == [f"live@{_NODE}"]
    (campaign.folder / "go").touch()
    wait_until(lambda: states()["slow"] == "SUCCESS", 10, "Flower to see the slow one end")


def test_celery_inspect_answers_what_runs_and_how_the_worker_is(campaign: Campaign, node: Node):
    campaign.write("A", f"until [ -e {campaign.folder}/go ]; do sleep 0.1; done")
    campaign.enqueue()
    campaign.wait(A=State.RUNNING)
    app = make_app(campaign.machine.home)
    with app.connection() as connection:
        inspect = app.control.inspect(timeout=5, connection=connection, destination=[f"live@{_NODE}"])
        (active,) = inspect.active()[f"live@{_NODE}"]
        assert active["name"] == "nunatak.run_jobfile"
        assert str(campaign.path("A")) in str(active["args"])
        assert active["acknowledged"] is False
        stats = inspect.stats()[f"live@{_NODE}"]
        assert (stats["pid"], stats["pool"]["max-concurrency"]) == (node.worker, 4)
        assert inspect.ping() == {f"live@{_NODE}": {"ok": "pong"}}
        secret = campaign.machine.home.password_file.read_text().strip()
        assert secret not in json.dumps(stats)
    assert campaign.states()["A"] is State.RUNNING
