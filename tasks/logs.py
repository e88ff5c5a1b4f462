"""Where a jobfile's output goes: `JOBFILE.out` and `JOBFILE.err` beside it, or under `--logs DIR`; earlier attempts get a number."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Logs:
    """The two files of a jobfile's latest attempt; an earlier attempt N has `.N` behind them."""

    out: str
    err: str


def logs_of(path: str, logs_dir: str = "") -> Logs:
    """The log files of the jobfile at `path`."""
    folder, _, name = path.rpartition("/")
    base = f"{logs_dir.rstrip('/') if logs_dir else folder}/{name}"
    return Logs(out=f"{base}.out", err=f"{base}.err")
