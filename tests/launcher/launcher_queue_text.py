"""Text as squeue prints it."""

from launcher.slurm_queue import FORMAT


def _filled(**fields: str) -> str:
    text = FORMAT
    for letter, value in fields.items():
        text = text.replace(f"%{letter}", value)
    return text + "\n"


HEADER = _filled(i="JOBID", T="STATE", r="REASON", P="PARTITION", S="START_TIME", e="END_TIME", j="NAME")


def record(
    job_id: str, word: str, *, reason: str = "None", partition: str = "main", start: str = "N/A", end: str = "N/A", name: str = "b1"
) -> str:
    """One row."""
    return _filled(i=job_id, T=word, r=reason, P=partition, S=start, e=end, j=name)
