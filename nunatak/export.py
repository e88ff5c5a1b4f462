"""A campaign's history as a file, one JSON line per jobfile, so that forgetting it loses nothing."""

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from broker.private import sync_dir
from broker.records import Job
from nunatak.shown import as_json, history_line


def export_file(folder: Path, campaign: str, now_unix: float) -> Path:
    """Where the history of `campaign` goes: a name of its own per second, whatever characters the campaign's has."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now_unix))
    return folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', campaign).lstrip('.') or 'campaign'}-{stamp}.jsonl"


def write_export(path: Path, jobs: Iterable[Job], now_s: float) -> int:
    """Write every jobfile with all its attempts; returns how many. The file has its name only once it is whole and on the disk."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    count = 0
    with unfinished.open("w", encoding="ascii") as out:
        for job in jobs:
            out.write(as_json(history_line(job, now_s)) + "\n")
            count += 1
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(path)
    sync_dir(path.parent)
    return count
