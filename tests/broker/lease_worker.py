"""A Celery worker for the transport's tests: its task writes a line at start and end and sleeps in between; no guard, no processes.

    python -I tests/broker/lease_worker.py HOME NAME LOG SLOTS [stock URL]

With `stock` it runs on kombu's own Redis transport with late acknowledgement, to show that a test fails there.
"""

import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from celery import Celery
from celery.apps.worker import Worker

#: What the task does is in the jobfile's name: seconds to sleep, or `poison`, which ends the worker at once.
POISON = "poison"


def note(log: Path, *words: object) -> None:
    with log.open("a") as f:
        f.write(" ".join(str(w) for w in (f"{time.time():.3f}", *words)) + "\n")


def act(log: Path, worker: str, path: str) -> None:
    name = Path(path).name
    note(log, "start", name, worker)
    if POISON in name:
        os._exit(9)
    time.sleep(float(name.split("_")[1]))
    note(log, "end", name, worker)


def leased_app(home: str, worker: str, log: Path, slots: int) -> Celery:
    from broker.client import open_client
    from broker.holding import NodeLimits
    from broker.holdings import Holdings
    from broker.home import Home
    from broker.lease import Holder, Leases, Outcome
    from broker.renewer import Renewer
    from broker.scripts import Scripts
    from tasks.app import make_app, register

    class Deaf:
        def extended(self, token: str, deadline: float) -> None: ...
        def taken_back(self, token: str, deadline: float) -> None: ...
        def lost(self, token: str) -> None: ...
        def cancelled(self, token: str) -> None: ...
        def settled(self, token: str) -> None: ...
        def contact(self, counter: int, fresh_s: float) -> None: ...
        def silence(self) -> None: ...

    holder = Holder(worker=worker, node=worker, block="b1")
    holdings = Holdings(NodeLimits(slots=slots))
    place = {"node": worker, "block": "b1", "site": "local", "pid": os.getpid(), "guard_pid": 0}
    said = {**place, "slots": slots, "running": 0, "frozen": 0, "state": "running"}
    renewer = Renewer(holdings, holder, Deaf(), lambda: Leases(Scripts(open_client(Home(Path(home))))), lambda: said)
    app = make_app(Home(Path(home)), {"holdings": holdings, "holder": holder})

    def run(token: str) -> str:
        act(log, worker, holdings.begin(token).path)
        holdings.conclude(token, Outcome(verdict="done", reason="exit 0", exit_code=0, elapsed_s=0.0))
        return "done"

    register(app, run)
    renewer.start()
    return app


def stock_app(url: str, worker: str, log: Path) -> Celery:
    app = Celery("stock", broker=url, set_as_current=False)
    app.conf.update(
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": 2, "unacked_restore_interval": 1, "unacked_restore_throttle": 1},
        task_acks_late=True,
        task_default_queue="jobfiles",
        task_ignore_result=True,
        task_reject_on_worker_lost=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_prefetch_multiplier=1,
    )

    @app.task(name="nunatak.run_jobfile")  # type: ignore[untyped-decorator]
    def run_jobfile(path: str) -> None:
        act(log, worker, path)

    return app


def main() -> None:
    home, worker, log, slots, *stock = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    app = stock_app(stock[1], worker, Path(log)) if stock else leased_app(home, worker, Path(log), int(slots))
    quiet: dict[str, Any] = dict.fromkeys(("quiet", "without_gossip", "without_mingle", "without_heartbeat"), True)
    Worker(app=app, hostname=f"{worker}@test", pool="threads", concurrency=int(slots), loglevel="INFO", **quiet).start()


if __name__ == "__main__":
    main()
