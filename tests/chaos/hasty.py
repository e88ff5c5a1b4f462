"""Commands of ours that give a block up after seconds in which Slurm has not mentioned it, not after ten minutes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from chaos.scale import FULL
from chaos.slurm_world import SlurmWorld
from whole.machine import Said

PROGRAM = Path(__file__).with_name("hasty_program.py")
#: Longer than an sbatch takes whose caller was killed.
MISSING_S = 60.0 if FULL else 6.0


def _argv(words: tuple[str, ...], *, kill_at: int = 0, record: str = "") -> list[str]:
    return [sys.executable, "-P", str(PROGRAM), json.dumps({"missing_s": MISSING_S, "kill_at": kill_at, "record": record}), *words]


def call_hastily(world: SlurmWorld, *words: str, host: str = "", **wanted: Any) -> Said:
    """The command to its end; `kill_at` and `record` as hasty_program.py has them."""
    done = world.cluster.run(host or world.login, _argv(words, **wanted), env=world.environ, timeout=120)
    return Said(code=done.returncode, out=done.stdout, err=done.stderr)


def start_hastily(world: SlurmWorld, *words: str, host: str = "") -> "subprocess.Popen[Any]":
    """The command; the test ends it."""
    return world.cluster.popen(host or world.login, _argv(words), env=world.environ, stdout=subprocess.DEVNULL)
