"""Programs in front of Slurm's own on a user's PATH, which pass on what they are asked, or do not: what they do stands in a file."""

import shutil

from chaos.slurm_world import SlurmWorld
from cluster import user
from cluster.slurm_cluster import PROGRAMS

#: `$real` is Slurm's own program, `$here` the folder of these, `$PPID` whoever has called.
_PROGRAM = """#!/bin/bash
real={real} here={here}
echo "$*" >> $here/{name}.calls
[ ! -s $here/{name}.does ] || . $here/{name}.does
exec $real "$@"
"""


class FakeSlurm:
    """`squeue`, `sbatch` and `scancel` for all commands of a world that are called after this."""

    def __init__(self, world: SlurmWorld) -> None:
        self.folder = world.make_folder(world.cluster.home / "fake")
        self._world = world
        for name in ("squeue", "sbatch", "scancel"):
            program = world.write_file(self.folder / name, _PROGRAM.format(real=shutil.which(name), here=self.folder, name=name))
            program.chmod(0o755)
        path = user.environment(user.NAME, world.cluster.home, PROGRAMS)["PATH"]
        world.environ["PATH"] = f"{self.folder}:{path}"

    def does(self, name: str, lines: str = "") -> None:
        """From now on the program runs these lines of bash first; without any it passes on what it is asked."""
        fresh = self._world.write_file(self.folder / f"{name}.next", lines)
        fresh.replace(self.folder / f"{name}.does")

    def calls(self, name: str) -> list[str]:
        """The arguments of each call so far."""
        file = self.folder / f"{name}.calls"
        return file.read_text().splitlines() if file.exists() else []
