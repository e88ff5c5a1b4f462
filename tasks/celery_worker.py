"""Celery's worker program where it must differ from Celery's own: signals, process title, and how it publishes events."""

import contextlib
import time
from typing import Any

from celery.apps.worker import Worker
from celery.worker.consumer import Consumer

#: How often task events are published; Flower refreshes more slowly.
_EVENTS_EVERY_S = 0.25


class CeleryConsumer(Consumer):  # type: ignore[misc]
    """Celery's consumer, which publishes its task events in batches.

    Celery's own publishes at each turn of its loop, and waits for the broker's answer each time: a third of the way of a short jobfile.
    """

    _flush_at = 0.0

    def on_send_event_buffered(self) -> None:
        """Called from any thread for each event."""
        now = time.monotonic()
        # A flush that is long overdue was lost with the loop's timers, at a reconnect.
        if self.hub and now >= self._flush_at:
            self._flush_at = now + 2 * _EVENTS_EVERY_S
            self.hub.call_soon(self._flush_later)

    def _flush_later(self) -> None:
        self.hub.call_later(_EVENTS_EVERY_S, self._flush_now)

    def _flush_now(self) -> None:
        self._flush_at = 0.0
        self._flush_events()

    def shutdown(self) -> None:
        # The broker may be away: then Flower misses the last ends, and the ledger has them.
        with contextlib.suppress(*self.connection_errors, *self.channel_errors):
            self._flush_events()
        super().shutdown()


class CeleryWorker(Worker):  # type: ignore[misc]
    """Celery's worker without its signal handlers and process title.

    The guard alone hears the scheduler's signals; and Slurm sends none to a process whose name has a blank in it (measured, 22.05).
    """

    def install_platform_tweaks(self, worker: Any) -> None:
        pass

    def set_process_status(self, info: str) -> None:
        pass
