"""Runs on a login host: a command of ours that waits seconds in place of ten minutes, and is killed at a certain line if it shall be.

`hasty_program.py '{"missing_s": 8, "kill_at": 3}' blocks tick`: `kill_at` counts the lines of launcher.blocks.submit as they are reached.
`record` is a file for what Parsl's SlurmProvider is asked for.
"""

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from launcher import blocks, parsl_block, slurm_block, slurm_state
from nunatak.main import main


class Killer:
    """Ends this process when the given line of submit is reached, before it is executed."""

    def __init__(self, kill_at: int) -> None:
        self._left = kill_at

    def __call__(self, frame: FrameType, _event: str, _argument: Any) -> "Killer | None":
        """sys.settrace(3): once for each function, and then, as its trace, for each of its lines."""
        return self.line if frame.f_code is blocks.submit.__code__ else None  # type: ignore[return-value]

    def line(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            self._left -= 1
            if not self._left:
                print(f"killed before line {frame.f_lineno - frame.f_code.co_firstlineno} of submit", flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
        return self.line


def hasten(missing_s: float) -> None:
    """As if the ten minutes were over so soon."""
    for module in (slurm_state, slurm_block, parsl_block):
        vars(module)["MISSING_S"] = missing_s


def record(file: str) -> None:
    """Lines "submit NUMBER" and "cancel NUMBER"."""
    from parsl.providers import SlurmProvider

    submit, cancel = SlurmProvider.submit, SlurmProvider.cancel

    def note(verb: str, job_id: str) -> str:
        with Path(file).open("a") as notes:
            print(verb, job_id, file=notes)
        return job_id

    SlurmProvider.submit = lambda self, *words: note("submit", submit(self, *words))
    SlurmProvider.cancel = lambda self, job_ids: cancel(self, [note("cancel", job_id) for job_id in job_ids])


if __name__ == "__main__":
    wanted = json.loads(sys.argv.pop(1))
    hasten(wanted["missing_s"])
    if wanted["record"]:
        record(wanted["record"])
    if wanted["kill_at"]:
        sys.settrace(Killer(wanted["kill_at"]))
    main()
