"""Asks Slurm what the doctor wants to know; submits nothing."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from broker.home import Home
from launcher.errors import LauncherError
from launcher.order import Order
from launcher.site import Site
from launcher.slurm_commands import CommandFailed, run
from launcher.slurm_reasons import is_refusal
from launcher.slurm_script import block_script, node_script
from nunatak.doctor.scheduler import Scheduler

_PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol", "srun")
_BLOCK_ID = "doctor-only-asks"


def missing_programs() -> tuple[str, ...]:
    return tuple(name for name in _PROGRAMS if shutil.which(name) is None)


def ask(site: Site, home: Home) -> Scheduler:
    """What Slurm says to a block of this site."""
    missing = missing_programs()
    if missing:
        return Scheduler(missing=missing)
    try:
        version = run(["sbatch", "--version"], site.cmd_timeout_s).out.strip()
        with tempfile.TemporaryDirectory(prefix="nunatak-doctor-") as folder:
            ended = run(["sbatch", "--test-only", str(_write_script(site, home, Path(folder)))], site.cmd_timeout_s)
    except (CommandFailed, LauncherError, OSError) as error:
        return Scheduler(missing=(), trouble=str(error))
    said = " ".join((ended.err.strip() or ended.out.strip()).replace("sbatch: ", "").split())
    return Scheduler(missing=(), version=version, tested=said[:400], accepted=ended.code == 0, refused=is_refusal(ended.err))


def _write_script(site: Site, home: Home, folder: Path) -> Path:
    """The site's own block script, and its node script for the sake of errors in the user's templates."""
    node_script(site, _BLOCK_ID, Order(command=(sys.executable,), home=home.root))
    script = folder / f"{_BLOCK_ID}.sh"
    script.touch(mode=0o600)
    script.write_bytes(os.fsencode(block_script(site, _BLOCK_ID, home.blocks_dir / _BLOCK_ID, "exit 0")))
    return script
