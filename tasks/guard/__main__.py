"""`python -I -m tasks.guard SETTINGS_JSON`: the guard of one node. Exit codes: 0 left in order, 1 workers kept dying, 2 wrong settings."""

import gc
import logging
import os
import sys

from tasks.guard.guard import Guard
from tasks.guard.node_log import open_log, put_away
from tasks.guard.prctl import become_subreaper
from tasks.guard.settings import BadSettings, GuardSettings

log = logging.getLogger("tasks.guard")


def main(argv: list[str]) -> int:
    if len(argv) != 2:
        return _refuse("usage: python -I -m tasks.guard SETTINGS_JSON")
    try:
        settings = GuardSettings.from_json(argv[1])
    except BadSettings as error:
        return _refuse(str(error))
    usable = len(os.sched_getaffinity(0))
    if settings.min_cpus is not None and usable < settings.min_cpus:
        return _refuse(
            f"this node's guard may use {usable} processors and the site's nodes have {settings.min_cpus}: "
            "check how the block is started (srun --cpu-bind=none, --exclusive, all processors for the task)"
        )
    try:
        open_log(settings.log_file)
    except OSError as error:
        return _refuse(f"cannot open the log: {error}; set log_file to a node-local path that can be written")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s guard %(levelname)s %(message)s", stream=sys.stderr)
    ended_well = False
    try:
        code, ended_well = _guard(settings)
        return code
    finally:
        if settings.log_copy is not None:
            put_away(settings.log_file, settings.log_copy, ended_well=ended_well)


def _refuse(words: str) -> int:
    print(f"nunatak guard: {words}", file=sys.stderr)
    return 2


def _guard(settings: GuardSettings) -> tuple[int, bool]:
    """The exit code, and whether everything went as it should."""
    _own_descriptors()
    become_subreaper()
    try:
        guard = Guard(settings, os.environ)
        # What is here stays: collections would only copy pages that the children share.
        gc.freeze()
        return guard.run(), guard.went_well
    except Exception:
        log.exception("guard.broke")
        raise


def _own_descriptors() -> None:
    """Nothing that the guard was started with gets to jobfiles; 0, 1 and 2 are there, so that no file takes their numbers."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.closerange(3, 4096)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
