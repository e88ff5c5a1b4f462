"""`python -I -m tasks.guard SETTINGS_JSON`: the guard of one node. Exit codes: 0 left in order, 1 workers kept dying, 2 wrong settings."""

import gc
import os
import shutil
import sys

from tasks.guard import log, starter
from tasks.guard.node_log import open_log, put_away
from tasks.guard.prctl import become_subreaper
from tasks.guard.settings import BadSettings, GuardSettings
from tasks.guard.spawner import Spawner


def main(argv: list[str]) -> int:
    if len(argv) != 2:
        return _refuse("usage: python -I -m tasks.guard SETTINGS_JSON")
    try:
        settings = GuardSettings.from_json(argv[1])
    except BadSettings as error:
        return _refuse(str(error))
    try:
        return _run(settings)
    finally:
        if settings.own_folder is not None:
            # Here and not in a child: the node is taken away with this process.
            shutil.rmtree(settings.own_folder, ignore_errors=True)


def _run(settings: GuardSettings) -> int:
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
        # Before the rest is imported, so that it has little to copy.
        spawner = Spawner(starter.become)
        from tasks.guard.guard import Guard

        guard = Guard(settings, os.environ, spawner)
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
