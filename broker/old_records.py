"""Result records that nobody will read again: left behind by guards that were killed between a settle and the record's removal."""

import logging
import time
from pathlib import Path
from typing import Any

import redis

from broker import keys
from broker.home import Home
from broker.records import ENDED
from broker.scripts import translated

log = logging.getLogger(__name__)

_ENDED = {state.value for state in ENDED}


def sweep(home: Home, client: "redis.Redis", older_than_s: float) -> int:
    """Remove the records that no claim will look for: of jobfiles that have ended or are forgotten, and of attempts before the latest.

    A claimer looks for the latest attempt's only (tasks/run.py). Returns how many went; raises Unreachable or OSError.
    """
    now, gone = time.time(), 0
    for path in home.records_dir.glob("*/*.json"):
        if now - path.stat().st_mtime > older_than_s and not _is_wanted(path, client):
            path.unlink(missing_ok=True)
            gone += 1
    if gone:
        log.info("records.swept count=%d", gone)
    return gone


def _is_wanted(path: Path, client: Any) -> bool:
    job_id, _, attempt = path.stem.partition(".")
    with translated():
        state, latest = client.hmget(keys.job(job_id), "state", "attempt")
    return state is not None and state not in _ENDED and attempt.isdecimal() and int(attempt) >= int(latest or 0)
