"""The Celery message of a claimed jobfile, made when it is claimed: while it waits only its record is stored (331 bytes, not 1,177)."""

import json
from typing import Any

from broker.claim import Claim
from broker.keys import QUEUE

#: The one task of ours; `tasks/app.py` registers it under this name.
TASK = "nunatak.run_jobfile"

_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def celery_message(claim: Claim) -> dict[str, Any]:
    """A message in Celery's protocol 2, as kombu's virtual transports hand it on; the delivery tag is the claim's token."""
    shown = claim.path.encode(errors="backslashreplace").decode()
    return {
        "body": json.dumps([[claim.path], {}, _EMBED]),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {
            "lang": "py",
            "task": TASK,
            "id": claim.job_id,
            "root_id": claim.job_id,
            "parent_id": None,
            "group": None,
            "retries": claim.failures,
            "argsrepr": repr((shown,)),
            "kwargsrepr": "{}",
            "claim": claim.token,
        },
        "properties": {
            "correlation_id": claim.job_id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": QUEUE, "redelivered": claim.deliveries > 1},
            "priority": 0,
            "delivery_tag": claim.token,
        },
    }
