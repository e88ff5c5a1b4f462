"""The Celery app: late acknowledgement, one explicit task, events for Flower; its broker transport holds leases.

It is handed over as an object and never found by name, so that no `tasks.py` or `celeryconfig.py` of a user's can take its place.
"""

from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery
from celery.exceptions import Reject, Retry

from broker.home import Home
from broker.keys import QUEUE
from broker.message import TASK
from broker.transport import install

#: Values that keep a connection from hanging (measured: a silent cut of 120 s hangs the default event loop for 95 s after its end).
_CONNECTION = {"socket_timeout": 15, "socket_connect_timeout": 5, "socket_keepalive": True, "health_check_interval": 10}


class JobfileFailed(Exception):
    """The jobfile ended badly for good; Celery shows the task as failed with this reason."""


def make_app(home: Home, transport_options: Mapping[str, Any] | None = None) -> Celery:
    """The app on the broker of `home`; a worker adds its `holdings` and `holder` to the transport's options.

    Settings differ from Celery's defaults only where those lose or double work, or end a worker:
    a broker that is away is waited for without end, and a lost connection cancels nothing.
    """
    install()
    app = Celery("nunatak", broker="redis://localhost//", set_as_current=False, config_source=None)
    app.conf.update(
        accept_content=["json"],
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        broker_transport_options={**_CONNECTION, "home": str(home.root), **(transport_options or {})},
        event_queue_expires=60,
        task_acks_late=True,
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_reject_on_worker_lost=True,
        task_send_sent_event=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_prefetch_count_reduction=False,
        worker_hijack_root_logger=False,
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,
        worker_send_task_events=True,
    )
    return app


def register(app: Celery, run: Callable[[str], str]) -> None:
    """Register the one task. `run` takes the claim's token and returns 'done', or raises one of Celery's words for another end."""

    @app.task(name=TASK, bind=True, acks_late=True, reject_on_worker_lost=True, ignore_result=True, throws=(JobfileFailed,))  # type: ignore[untyped-decorator]
    def run_jobfile(self: Any, _path: str) -> str:
        """Run one jobfile; its path is for people, the claim says which it is."""
        return run(self.request.get("claim"))


__all__ = ["JobfileFailed", "Reject", "Retry", "make_app", "register"]
