"""Runs on a login host: what Parsl's own SlurmProvider makes of squeue's answers about these jobs, all of which it has seen to run.

`naive_reader.py JOB_ID…` prints one JSON object, job -> state.
"""

import json
import sys

from parsl.jobs.states import JobState, JobStatus
from parsl.providers import SlurmProvider


def main(*job_ids: str) -> None:
    provider = SlurmProvider(cmd_timeout=2)
    for job_id in job_ids:
        provider.resources[job_id] = {"status": JobStatus(JobState.RUNNING), "job_stdout_path": "", "job_stderr_path": ""}
    print(json.dumps({job_id: status.state.name for job_id, status in zip(job_ids, provider.status(list(job_ids)), strict=True)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
