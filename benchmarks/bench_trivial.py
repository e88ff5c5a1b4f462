"""Trivial jobfiles per second beside other ways to run the same scripts, two at a time: python -I benchmarks/bench_trivial.py [N [ROUNDS]].

Each round runs every contender once, one after the other. `nunatak run` counts twice: from the first start to the last settle (the ledger's
times, to compare with what is already up), and as a whole process with the start and the stop of broker and block.
HyperQueue comes from its wheel, into an environment in the temporary folder; what cannot be had is said and left out.
"""

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
import venv
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from rig import Rig, print_ratios, rig, seconds, wait_until

from broker.binary import find_server
from broker.client import Endpoint, connect
from broker.server import ServerConf, choose_port, start

OURS = "nunatak run, inside"
WHOLE = "nunatak run, whole process"

CELERY = """
    import subprocess, celery
    app = celery.Celery("stock", broker=BROKER)
    app.conf.update(task_acks_late=True, task_ignore_result=True, worker_prefetch_multiplier=1)
    @app.task(name="run")
    def run(path):
        with open(path + ".out", "w") as out:
            return subprocess.call(["/bin/bash", path], stdout=out, stderr=subprocess.STDOUT)
"""
PARSL = """
    import os, sys, time, parsl
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import LocalProvider
    @parsl.python_app
    def run(path):
        import subprocess
        with open(path + ".out", "w") as out:
            return subprocess.call(["/bin/bash", path], stdout=out, stderr=subprocess.STDOUT)
    folder, root = sys.argv[1:]
    executor = HighThroughputExecutor(max_workers_per_node=2, address="127.0.0.1", loopback_address="127.0.0.1",
                                      provider=LocalProvider(init_blocks=1, max_blocks=1))
    with parsl.load(Config(executors=[executor], run_dir=root, usage_tracking=0)):
        paths = [os.path.join(folder, n) for n in sorted(os.listdir(folder)) if n.endswith(".sh")]
        run(paths[0]).result()
        begin = time.perf_counter()
        for future in [run(p) for p in paths]:
            future.result()
        print("SECONDS", time.perf_counter() - begin)
"""
HYPERQUEUE = """
    import os, sys, time
    from hyperqueue import Job, LocalCluster
    from hyperqueue.cluster import WorkerConfig
    folder, root = sys.argv[1:]
    with LocalCluster(worker_config=WorkerConfig(cores=2)) as cluster:
        client = cluster.client()
        def run(paths):
            job = Job(default_workdir=folder)
            for path in paths:
                job.program(["/bin/bash", path], stdout=path + ".out", stderr=path + ".err")
            client.wait_for_jobs([client.submit(job)])
        paths = [os.path.join(folder, n) for n in sorted(os.listdir(folder))]
        run(paths[:1])
        begin = time.perf_counter()
        run(paths)
        print("SECONDS", time.perf_counter() - begin)
"""


def ours(place: Rig, folder: Path) -> dict[str, float]:
    """Rates of one `nunatak run`."""
    count = len(list(folder.iterdir()))
    name = folder.name
    whole = seconds(lambda: place.call("run", str(folder), "--slots", "2", "--done", "exit-code", "--campaign", name))
    place.call("broker", "start")
    jobs = [json.loads(line) for line in place.call("jobs", "--campaign", name, "--json").splitlines()]
    place.call("broker", "stop", "--force")
    assert {job["state"] for job in jobs} == {"done"}, jobs[0]
    inside = max(job["ended_at"] for job in jobs) - min(job["started_at"] for job in jobs)
    return {OURS: count / inside, WHOLE: count / whole}


def xargs(_place: Rig, folder: Path) -> float:
    line = "ls *.sh | xargs -P2 -n1 /bin/bash"
    return seconds(lambda: subprocess.run(line, shell=True, cwd=folder, check=True, stdout=subprocess.DEVNULL))


def parallel(_place: Rig, folder: Path) -> float:
    line = "ls *.sh | parallel --will-cite -j2 /bin/bash"
    return seconds(lambda: subprocess.run(line, shell=True, cwd=folder, check=True, stdout=subprocess.DEVNULL))


def parsl(place: Rig, folder: Path) -> float:
    """Seconds for all, once a first one has come through: HTEX's start is not counted."""
    script = place.root / "bench_parsl.py"
    script.write_text(textwrap.dedent(PARSL))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [sys.executable, str(script), str(folder), str(place.root / "parsl")]
    done = subprocess.run(command, env={**os.environ, "PATH": path}, cwd=place.root, capture_output=True, text=True, check=True)
    return float(done.stdout.split("SECONDS")[1])


def celery(place: Rig, folder: Path) -> float:
    """Seconds until a stock prefork worker that is up has acknowledged all."""
    binary = find_server(os.environ, os.environ["PATH"])
    data = place.root / f"celery-{folder.name}"
    data.mkdir()
    port = choose_port(0, "loopback")
    conf = ServerConf(
        directory=data, socket=data / "s", port=port, bind="loopback", fsync="always", password="bench", maxclients=200,
        log_file=data / "log", version=binary.version,
    )  # fmt: skip
    server = start(binary, conf)
    url = f"redis://:bench@127.0.0.1:{port}/0"
    (data / "stock.py").write_text(f"BROKER = {url!r}\n{textwrap.dedent(CELERY)}")
    worker = None
    try:
        wait_until(lambda: (data / "s").exists(), 10, "the server")
        environ = {**os.environ, "PYTHONPATH": str(data)}
        options = ["-c", "2", "--without-gossip", "--without-mingle", "-l", "WARNING"]
        command = [sys.executable, "-m", "celery", "-A", "stock", "worker", *options]
        worker = subprocess.Popen(command, cwd=data, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return _feed_celery(Endpoint(host="", port=0, socket=str(data / "s"), password="bench"), url, folder)
    finally:
        if worker is not None:
            worker.terminate()
            worker.wait(30)
        server.end(10)


def _feed_celery(endpoint: Endpoint, url: str, folder: Path) -> float:
    from celery import Celery

    app = Celery("feeder", broker=url, set_as_current=False)
    client = connect(endpoint)
    scripts = sorted(str(path) for path in folder.glob("*.sh"))

    def is_empty() -> bool:
        return not client.llen("celery") and not client.hlen("unacked")

    app.send_task("run", (scripts[0],))
    wait_until(lambda: Path(scripts[0] + ".out").exists() and is_empty(), 30, "the worker's first task")
    begin = time.perf_counter()
    for script in scripts:
        app.send_task("run", (script,))
    wait_until(is_empty, 300, "all tasks", every_s=0.02)
    client.close()
    return time.perf_counter() - begin


class HyperQueue:
    """Its wheel in an environment of its own; the wheel has no `hq` command, so server and worker are those of its Python interface."""

    def __init__(self, place: Rig) -> None:
        self._folder = place.root / "hq"
        venv.create(self._folder, with_pip=True)
        self._python = self._folder / "bin/python"
        subprocess.run([self._python, "-I", "-m", "pip", "-q", "install", "hyperqueue"], check=True, capture_output=True)

    def run(self, place: Rig, folder: Path) -> float:
        script = place.root / "bench_hyperqueue.py"
        script.write_text(textwrap.dedent(HYPERQUEUE))
        command = [str(self._python), "-I", str(script), str(folder), str(self._folder)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        return float(done.stdout.split("SECONDS")[1])


def hyperqueue(place: Rig) -> HyperQueue | None:
    try:
        return HyperQueue(place)
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"SKIPPED: HyperQueue cannot be had: {error}", flush=True)
        return None


def main(count: int, rounds: int) -> None:
    with rig() as place:
        others: dict[str, Callable[[Rig, Path], float]] = {"xargs -P2": xargs}
        if shutil.which("parallel"):
            others["GNU parallel -j2"] = parallel
        else:
            print("SKIPPED: GNU parallel is not installed (Debian package parallel)", flush=True)
        hq = hyperqueue(place)
        if hq is not None:
            others["HyperQueue, server and worker up"] = hq.run
        others |= {"Parsl HTEX, 2 workers up": parsl, "Celery prefork -c 2, up": celery}
        rates: dict[str, list[float]] = {name: [] for name in (OURS, WHOLE, *others)}
        for number in range(rounds):
            for name, rate in ours(place, place.jobfiles(f"nunatak-{number}", count)).items():
                rates[name].append(rate)
            for index, (name, run) in enumerate(others.items()):
                rates[name].append(count / run(place, place.jobfiles(f"other-{index}-{number}", count)))
            print(f"round {number + 1}: {', '.join(f'{name} {values[-1]:.0f}/s' for name, values in rates.items())}", flush=True)
        print(f"{count} trivial jobfiles, two at a time, medians of {rounds} rounds")
        print_ratios(rates, OURS, "/s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
