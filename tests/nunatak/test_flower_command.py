"""`nunatak flower`: the real Flower, in its own process, on an ephemeral port."""

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filled_queue import Queue

from broker.home import Home
from nunatak.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Flower:
    process: subprocess.Popen[str]
    url: str
    home: Home

    @property
    def password(self) -> str:
        return (self.home.root / "flower-password").read_text().strip()

    def get(self, path: str, password: str | None = None) -> tuple[int, str]:
        request = urllib.request.Request(self.url + path)
        if password is not None:
            request.add_header("Authorization", "Basic " + base64.b64encode(f"nunatak:{password}".encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""

    def json(self, path: str) -> Any:
        code, text = self.get(path, self.password)
        assert code == 200, path
        return json.loads(text)


def start(home: Home) -> Flower:
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", "from nunatak.main import main; main()", "flower"],
        env={**os.environ, "NUNATAK_HOME": str(home.root)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return Flower(process=process, url=process.stdout.readline().strip(), home=home)


def end(flower: Flower) -> int:
    flower.process.send_signal(signal.SIGTERM)
    code = flower.process.wait(timeout=20)
    if flower.process.stdout is not None:
        flower.process.stdout.close()
    return code


@pytest.fixture(scope="module")
def flower(settings: Settings) -> Iterator[Flower]:
    running = start(settings.home)
    yield running
    if running.process.poll() is None:
        end(running)


@pytest.mark.parametrize("path", ["/", "/api/workers", "/api/tasks", "/broker", "/metrics", "/api/queues/length"])
def test_nothing_is_shown_without_the_password(flower, path):
    assert flower.get(path)[0] == 401
    assert flower.get(path, "guess")[0] == 401


def test_the_api_answers_to_the_password(flower):
    assert flower.json("/api/workers") == {}
    assert flower.get("/metrics", flower.password)[0] == 200


def test_the_password_is_in_a_private_file_and_in_no_argument_or_variable(flower):
    assert (flower.home.root / "flower-password").stat().st_mode & 0o077 == 0
    process = Path(f"/proc/{flower.process.pid}")
    for secret in (flower.password, flower.home.password_file.read_text().strip()):
        assert secret.encode() not in (process / "cmdline").read_bytes()
        assert secret.encode() not in (process / "environ").read_bytes()


def test_it_listens_on_the_loopback_only(flower):
    assert flower.url.startswith("http://127.0.0.1:")
    port = f"{int(flower.url.rsplit(':', 1)[1]):04X}"
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"]
    assert [address for address in listening if address.endswith(f":{port}")] == [f"0100007F:{port}"]


def test_the_queue_shows_how_many_jobfiles_wait_in_its_lanes(flower, queue: Queue):
    queue.add("lanes", "a.sh", "b.sh", "c.sh", priority=3)
    queue.claim("lanes")
    assert flower.json("/api/queues/length") == {"active_queues": [{"name": "jobfiles", "messages": 2}]}
    page = flower.get("/broker", flower.password)[1]
    assert "jobfiles" in page
    assert (flower.home.password_file.read_text().strip()) not in page


def test_it_shows_the_jobfiles_that_workers_tell_of(flower, settings, wait_until: Callable[..., Any]):
    from celery.events import EventDispatcher

    from tasks.app import make_app

    app = make_app(settings.home)

    def told() -> Any:
        # Flower connects in a thread of its own; what is told before that nobody hears.
        with app.connection() as connection, EventDispatcher(connection, hostname="w1@c101", app=app) as events:
            shown = {"name": "nunatak.run_jobfile", "args": "('/scratch/qsub_1.sh',)", "kwargs": "{}"}
            events.send("task-received", uuid="j1", **shown)
            events.send("task-started", uuid="j1")
        return flower.json("/api/tasks")

    tasks = wait_until(told, 20, "Flower to hear of j1")
    assert tasks["j1"]["args"] == "('/scratch/qsub_1.sh',)"
    assert tasks["j1"]["worker"] == "w1@c101"


def test_its_state_outlives_it(settings, flower):
    """Last in this file: it ends the Flower that the tests share."""
    assert "j1" in flower.json("/api/tasks")
    assert end(flower) == 0
    again = start(settings.home)
    try:
        assert "j1" in again.json("/api/tasks")
    finally:
        assert end(again) == 0


def test_a_port_that_is_taken_is_wrong_use(nunatak, settings):
    running = start(settings.home)
    try:
        said = nunatak("flower", "--port", running.url.rsplit(":", 1)[1])
        assert said.code == 2
        assert "leave out --port" in said.err
    finally:
        end(running)
