"""What stock kombu loses or doubles, and the lease transport does not; leases of 2 s in place of 300. Each is shown to fail on stock."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import servers
from farm import LEASE, Farm

from broker.records import State


@pytest.fixture
def farm(server: servers.Server, tmp_path: Path) -> Iterator[Farm]:
    made = Farm(server, tmp_path)
    try:
        yield made
    finally:
        made.close()


PUBLISH = """
import sys
from celery import Celery
with Celery("stock", broker=sys.argv[1]) as app:
    app.send_task("nunatak.run_jobfile", args=["/jobs/" + sys.argv[2]], queue="jobfiles")
"""


def publish_stock(farm: Farm, name: str) -> None:
    """Send a task the stock way; in a process of its own, because kombu remembers for good what `redis://` means."""
    subprocess.run([sys.executable, "-I", "-c", PUBLISH, farm.server.url, name], check=True)


def kill_clients(farm: Farm) -> None:
    client = farm.server.client()
    for kind in ("normal", "pubsub"):
        client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


def test_a_task_longer_than_its_lease_runs_once(farm: Farm) -> None:
    farm.enqueue("job_5_long")
    farm.start("w1")
    farm.start("w2")
    assert farm.wait_ended() == {State.DONE: 1}
    assert farm.starts() == {"job_5_long": 1}
    assert farm.jobs()["job_5_long"].deliveries == 1


def test_stock_runs_a_task_longer_than_the_visibility_timeout_twice(farm: Farm) -> None:
    farm.start_stock("s1")
    farm.start_stock("s2")
    publish_stock(farm, "job_8_long")
    servers.wait_until(lambda: farm.starts()["job_8_long"] > 1, 20, "a second copy")


def test_a_reset_connection_starts_no_second_copy(farm: Farm) -> None:
    farm.enqueue("job_4_a", "job_4_b")
    farm.start("w1")
    farm.start("w2")
    servers.wait_until(lambda: len(farm.runs()) == 2, 10, "both to run")
    kill_clients(farm)
    assert farm.wait_ended() == {State.DONE: 2}
    assert farm.starts() == {"job_4_a": 1, "job_4_b": 1}
    assert all(w.poll() is None for w in farm.workers.values()), "a worker died"


def test_stock_starts_a_second_copy_when_its_connection_is_reset(farm: Farm) -> None:
    farm.start_stock("s1")
    publish_stock(farm, "job_6_a")
    servers.wait_until(lambda: len(farm.runs()) == 1, 10, "it to run")
    kill_clients(farm)
    servers.wait_until(lambda: farm.starts()["job_6_a"] > 1, 20, "a second copy")


def test_a_busy_worker_takes_nothing_more_after_a_reconnect(farm: Farm) -> None:
    farm.enqueue("job_4_a", "job_4_b", "job_4_c")
    farm.start("w1", slots=2)
    servers.wait_until(lambda: len(farm.runs()) == 2, 10, "two to run")
    for _ in range(3):
        kill_clients(farm)
        farm.beat()
        assert farm.states()[State.QUEUED] == 1
    assert farm.wait_ended() == {State.DONE: 3}
    assert set(farm.starts().values()) == {1}


def test_nothing_is_lost_when_a_stopped_waiting_worker_is_killed(farm: Farm) -> None:
    worker = farm.start("w1")
    # It waits for the bell by now: it has found the queue empty before it said that it is ready, or does so within a moment.
    servers.wait_until(lambda: blocked(farm), 10, "the worker to wait for the bell")
    worker.send_signal(signal.SIGSTOP)
    farm.enqueue("job_0_a")
    worker.kill()
    worker.wait()
    farm.start("w2")
    assert farm.wait_ended() == {State.DONE: 1}


def test_stock_loses_what_a_stopped_waiting_worker_was_sent(farm: Farm) -> None:
    worker = farm.start_stock("s1")
    servers.wait_until(lambda: blocked(farm), 10, "the worker to wait in BRPOP")
    worker.send_signal(signal.SIGSTOP)
    publish_stock(farm, "job_0_a")
    client = farm.server.client()
    servers.wait_until(lambda: not client.exists("jobfiles"), 5, "BRPOP to take the message")
    worker.kill()
    worker.wait()
    assert not client.exists("unacked"), "the message is neither queued nor unacknowledged: it is lost"


def blocked(farm: Farm) -> bool:
    return int(farm.server.client().info("clients")["blocked_clients"]) > 0


def test_claims_renewals_and_settles_go_on_at_the_memory_limit(farm: Farm) -> None:
    farm.enqueue("job_3_a", "job_0_b", "job_0_c")
    farm.start("w1")
    client = farm.server.client()
    client.config_set("maxmemory", 1024 * 1024)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        client.set("x", "y" * 100)
    assert farm.wait_ended() == {State.DONE: 3}
    assert farm.starts()["job_3_a"] == 1, "its lease ran out: it was not renewed"


def test_a_jobfile_that_kills_its_worker_is_set_aside(farm: Farm) -> None:
    farm.enqueue("job_0_poison", "job_0_good")
    for number in range(LEASE.max_losses + 1):
        worker = farm.start(f"w{number}")
        if number < LEASE.max_losses:
            worker.wait(20)
    assert farm.wait_ended() == {State.DONE: 1, State.QUARANTINED: 1}
    assert farm.starts()["job_0_poison"] == LEASE.max_losses
    assert farm.jobs()["job_0_poison"].losses == LEASE.max_losses


def test_a_worker_outlives_restarts_of_the_broker_while_busy_and_while_partly_busy(farm: Farm) -> None:
    farm.enqueue("job_9_a")
    farm.start("busy", slots=1)
    servers.wait_until(lambda: len(farm.runs()) == 1, 10, "it to run")
    farm.start("partly", slots=2)
    farm.enqueue("job_9_b")
    servers.wait_until(lambda: len(farm.runs()) == 2, 10, "both to run")
    for _ in range(3):
        farm.server.kill9()
        farm.server.start()
        servers.wait_until(lambda: len(farm.server.client().client_list()) > 6, 20, "the workers to come back")
    assert farm.wait_ended() == {State.DONE: 2}
    assert set(farm.starts().values()) == {1}
    assert all(w.poll() is None for w in farm.workers.values()), "a worker died"


def test_nothing_enqueued_is_lost_when_the_server_is_killed(farm: Farm) -> None:
    names = [f"job_0_{i}" for i in range(2000)]
    farm.enqueue(*names)
    farm.server.kill9()
    farm.server.start()
    farm.beat()
    assert farm.states() == {State.QUEUED: 2000}
    farm.start("w1", slots=2)
    assert farm.wait_ended(60) == {State.DONE: 2000}
    assert set(farm.starts().values()) == {1}


def test_a_message_that_is_not_ours_is_kept_and_never_run(farm: Farm) -> None:
    publish_stock(farm, "job_0_foreign")
    farm.start("w1")
    client = farm.server.client()
    servers.wait_until(lambda: client.llen("rejected") == 1, 10, "the message to be set aside")
    farm.enqueue("job_0_ours")
    assert farm.wait_ended() == {State.DONE: 1}
    assert farm.starts() == {"job_0_ours": 1}


def test_a_revoked_jobfile_is_cancelled_with_a_reason(farm: Farm) -> None:
    from broker.enqueue import job_id
    from tasks.app import make_app

    app = make_app(farm.server.home)
    farm.start("w1")
    app.control.revoke(job_id("/jobs", "job_0_a"))
    servers.wait_until(lambda: app.control.inspect(timeout=2).revoked(), 10, "the worker to know")
    farm.enqueue("job_0_a")
    assert farm.wait_ended() == {State.CANCELLED: 1}
    assert "without an outcome" in (farm.jobs()["job_0_a"].latest.reason or "")
    assert not farm.runs()


def test_celery_inspect_and_control_answer_and_the_queue_length_is_true(farm: Farm) -> None:
    from tasks.app import make_app

    app = make_app(farm.server.home)
    farm.enqueue("job_5_a", "job_5_b", "job_5_c")
    farm.start("w1")
    servers.wait_until(farm.runs, 10, "one to run")
    with app.connection() as connection:
        assert connection.default_channel.queue_declare("jobfiles", passive=True).message_count == 2
    active = app.control.inspect(timeout=1).active()
    assert [task["args"] for tasks in active.values() for task in tasks] == [["/jobs/job_5_a"]]
    for _ in range(2):  # a second time: an answer must not wait behind the first one's BRPOP
        assert app.control.ping(timeout=1) == [{"w1@test": {"ok": "pong"}}]
