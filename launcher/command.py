"""The command line by which a block starts our worker: the seam between launcher and tasks."""

import sys
import sysconfig
from pathlib import Path

from launcher.errors import NoProgram


def own_program(*, python: str = sys.executable, scripts: str = "") -> tuple[str, ...]:
    """`…/python -I …/nunatak`, by absolute paths. Raises NoProgram.

    `-I`, so that neither the user's PYTHONPATH nor the working directory can put other modules in the place of ours.
    """
    program = Path(scripts or sysconfig.get_path("scripts")) / "nunatak"
    if not program.is_file():
        raise NoProgram(f"{program} does not exist. Install nunatak into the environment of {python}: make install")
    return (python, "-I", str(program))


def worker_command(block_id: str, *, python: str = sys.executable, scripts: str = "") -> tuple[str, ...]:
    """What a block runs on each of its nodes: `…/python -I …/nunatak worker --block ID`. Raises NoProgram."""
    return (*own_program(python=python, scripts=scripts), "worker", "--block", block_id)
