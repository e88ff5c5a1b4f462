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
MISSING_S = 60.0 if FULL else 8.0


def _argv(words: tuple[str, ...], kill_at: int | None) -> list[str]:
    return [sys.executable, "-P", str(PROGRAM), json.dumps({"missing_s": MISSING_S, "kill_at": kill_at}), *words]


def call_hastily(world: SlurmWorld, *words: str, host: str = "", kill_at: int | None = None) -> Said:
    """The command to its end."""
    done = world.cluster.run(host or world.login, _argv(words, kill_at), env=world.environ, timeout=120)
    return Said(code=done.returncode, out=done.stdout, err=done.stderr)


def start_hastily(world: SlurmWorld, *words: str, host: str = "") -> "subprocess.Popen[Any]":
    """The command; the test ends it."""
    return world.cluster.popen(host or world.login, _argv(words, None), env=world.environ, stdout=subprocess.DEVNULL)
