"""Jobfiles in the queue without a directory: what the scripts alone do."""

from broker.enqueue import Entry, enqueue
from broker.lease import new_token
from broker.scripts import Scripts


def fill(scripts: Scripts, campaign: str, count: int, directory: str = "/scratch/region_03_conus/jobfiles/2m") -> str:
    """Enqueue so many jobfiles with names as long as real ones; the campaign's number."""
    number, _ = scripts.campaign(campaign, {"done": "exit-code", "retries": "3"})
    entries = [Entry(name=f"qsub_WV01_20150610_1020010041{i:06d}_10200100{i:08d}.sh", priority=5) for i in range(count)]
    words = enqueue(scripts, batch=new_token(), campaign=number, directory=directory, entries=entries)
    assert words.counts == {"enqueued": count}, words.counts
    return number
