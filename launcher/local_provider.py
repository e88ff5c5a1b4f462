"""Parsl's LocalProvider with a script of ours: blocks as processes of this machine.

Importing this imports Parsl (0.34 s): launcher/local_block.py does it when a block is submitted or cancelled, and not before.
"""

import os
import re
import shlex
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from parsl.jobs.states import JobState, JobStatus
from parsl.providers import LocalProvider

from launcher.errors import SubmitFailed
from launcher.local_files import IDENTITY
from launcher.node_launcher import NodeLauncher
from launcher.shipped import read_template
from launcher.site import Site
from launcher.template import render

#: What Parsl puts before the launcher's part; its JOBNAME is not the user's and is left out.
_PARSL_HEAD = re.compile(r"\A\s*export JOBNAME=\S+\n")
#: How bash hands an exported function to its children.
_FUNCTION = re.compile(r"BASH_FUNC_([^\s%()=;&|<>$`\"'\\]+)%%")


class LocalBlockProvider(LocalProvider):  # type: ignore[misc]  # Parsl comes without types
    """Starts a block's script in a process group of its own, in the background; Parsl's, but for the script's text and the signal."""

    def __init__(self, site: Site, block_id: str, folder: Path) -> None:
        super().__init__(launcher=NodeLauncher(site.node_init), nodes_per_block=site.nodes_per_block)
        self.site = site
        self.block_id = block_id
        self.folder = folder
        self.script_dir = quote_for_parsl(folder)

    def _write_submit_script(self, script_string: str, script_filename: str) -> bool:
        node_part, found = _PARSL_HEAD.subn("", script_string, count=1)
        if not found:
            raise SubmitFailed(f"block {self.block_id}: this Parsl composes its script in another way; use the versions of constraints.txt")
        values = {
            "block_id": self.block_id,
            "site": self.site.name,
            "identity": shlex.quote(str(self.folder / IDENTITY)),
            "shell_functions": shell_functions(os.environ),
            "worker_init": self.site.worker_init,
            "node_part": node_part,
        }
        script = self.folder / Path(script_filename).name
        # Its lines may hold what the user put into worker_init: for its owner only.
        script.touch(mode=0o600)
        script.write_bytes(os.fsencode(render("block_local.sh", read_template("block_local.sh"), values)))
        return True

    def adopt(self, job_id: str) -> None:
        """Take over a job that another process submitted; the caller has made sure that the process id is still that job's."""
        self.resources[job_id] = {"job_id": job_id, "status": JobStatus(JobState.RUNNING), "remote_pid": int(job_id)}

    def cancel(self, job_ids: Sequence[str]) -> list[bool]:
        """SIGTERM as Slurm sends it: to what the script has become and not to its children, whom it ends in its own order.

        While the script still runs worker_init: to its whole process group. (Parsl signals the group always, asks `ps`, which a small
        container lacks, for it, and answers True always.)
        """
        return [self._terminate(self.resources[job_id]["remote_pid"]) for job_id in job_ids]

    def _terminate(self, pid: int) -> bool:
        try:
            # The script's name is in its own command line and in that of the shell that waits for it, but not in the worker's.
            if f"/{self.block_id}.".encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.killpg(os.getpgid(pid), signal.SIGTERM)
            else:
                os.kill(pid, signal.SIGTERM)
        except (FileNotFoundError, ProcessLookupError):
            return False
        return True


def quote_for_parsl(folder: Path) -> str:
    """The folder as Parsl needs it: it stands unquoted in a bash command, which stands in single quotes in a command of sh."""
    text = str(folder)
    if "\n" in text:
        raise SubmitFailed(f"the folder {text!r} has a line break in its name; set NUNATAK_HOME to one without")
    return re.sub(r"[^\w/.,:@%+=-]", lambda found: "\\" + found[0].replace("'", "'\\''"), text, flags=re.ASCII)


def shell_functions(environ: Mapping[str, str]) -> str:
    """The functions that the user's bash exports (`module` is one), as shell text.

    Parsl starts a block through /bin/sh, and where that is dash (Debian, Ubuntu) it drops every variable whose name is not a word,
    which is how bash hands functions on.
    """
    found = {name[1]: text for key, text in environ.items() if (name := _FUNCTION.fullmatch(key)) and text.startswith("() {")}
    return "\n".join(f"{name} {text}\nexport -f {name}" for name, text in sorted(found.items()))
