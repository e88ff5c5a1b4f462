"""Parsl's SlurmProvider with scripts of ours: blocks as batch jobs.

Importing this imports Parsl (0.34 s): launcher/slurm_block.py does it when a block is submitted or cancelled, and not before.
"""

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parsl.jobs.states import JobState, JobStatus
from parsl.providers import SlurmProvider

from launcher.site import Site
from launcher.slurm_commands import run
from launcher.slurm_files import NODE_SCRIPT, block_file
from launcher.slurm_script import block_script
from launcher.srun_launcher import SrunNodeLauncher
from launcher.walltime import walltime_text


class SlurmBlockProvider(SlurmProvider):  # type: ignore[misc]  # Parsl comes without types
    """Submits and cancels by Parsl; the script's text, the commands' environment and their time limit are ours.

    Its `status` is never asked: a job that Slurm does not mention is COMPLETED to it.
    """

    def __init__(self, site: Site, block_id: str, folder: Path, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._is_made = False
        # Parsl reads a walltime below one minute as none and refuses days; it is told what it can read, and Slurm what the site says.
        super().__init__(
            launcher=SrunNodeLauncher(folder / NODE_SCRIPT, block_file(folder)),
            nodes_per_block=site.nodes_per_block,
            walltime=walltime_text(site.walltime_s or 3600),
        )
        self._is_made = True
        #: What the last command said; Parsl keeps it to itself.
        self.said = ""
        self.site = site
        self.block_id = block_id
        self.folder = folder
        self.script_dir = _quote_for_parsl(folder)

    def execute_wait(self, cmd: str, timeout: float | None = None) -> tuple[int, str, str]:
        """As Parsl's, but in a clean environment, without a shell, and with an end. Raises CommandFailed."""
        if not self._is_made:
            # Parsl's constructor asks sacct whether it could be asked for states, which it never is here.
            return 1, "", "not asked"
        program, *arguments = shlex.split(cmd)
        if program == "scancel":
            # A controller that has lost a job gives its number to another one: only the job of this name is meant.
            arguments.insert(0, f"--name={self.block_id}")
        ended = run((program, *arguments), timeout or self._timeout_s)
        self.said = " ".join(f"{ended.err} {ended.out}".split())[:500] or "it said nothing"
        return ended.code, ended.out, ended.err

    def _write_submit_script(self, template: str, script_filename: str, job_name: str, configs: Mapping[str, Any]) -> None:  # noqa: ARG002  # Parsl's
        self._write(self.folder / Path(script_filename).name, configs["user_script"])

    def write_script(self) -> Path:
        """The script that `submit` would hand to sbatch, for `sbatch --test-only`."""
        script = self.folder / self.block_id
        self._write(script, self.launcher("", 1, self.nodes_per_block))
        return script

    def _write(self, script: Path, node_part: str) -> None:
        # Its lines may hold what the user put into worker_init: for its owner only.
        script.touch(mode=0o600)
        script.write_bytes(os.fsencode(block_script(self.site, self.block_id, self.folder, node_part)))

    def adopt(self, job_id: str) -> None:
        """Take over a job that another process submitted."""
        self.resources[job_id] = {"job_id": job_id, "status": JobStatus(JobState.UNKNOWN)}


def _quote_for_parsl(folder: Path) -> str:
    """Parsl takes it for a path and puts it into a command line as it is: so no quotes, which would stand before the first slash."""
    return re.sub(r"[^\w/.,:@%+=-]", lambda found: "\\" + found[0], str(folder), flags=re.ASCII)
