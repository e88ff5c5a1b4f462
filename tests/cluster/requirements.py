"""What a cluster needs of the machine."""

import os
import shutil
from pathlib import Path

from cluster.program import ROOT

#: Program -> the Debian package that has it.
PROGRAMS = {
    "slurmctld": "slurmctld", "slurmd": "slurmd", "sinfo": "slurm-client", "munged": "munge", "ip": "iproute2", "bridge": "iproute2",
    "nsenter": "util-linux", "bash": "bash",
}  # fmt: skip
_PATH = os.defpath + ":/usr/sbin:/sbin"


def absent() -> str:
    """What is missing here for a cluster, in words; empty if nothing is."""
    if os.geteuid() != 0:
        return "a cluster of namespaces needs root"
    packages = {package for program, package in PROGRAMS.items() if shutil.which(program, path=_PATH) is None}
    if packages:
        return f"apt-get install --no-install-recommends {' '.join(sorted(packages))}"
    closed = [str(file) for file in (ROOT / "broker" / "home.py", ROOT / "nunatak" / "main.py") if not file.stat().st_mode & 0o004]
    if closed:
        return f"an ordinary user cannot read {', '.join(closed)}: chmod -R go+rX {ROOT}"
    folders = [folder for folder in ("/etc/slurm", "/etc/munge") if not Path(folder).is_dir()]
    return f"no {' and '.join(folders)}, which Debian's packages make" if folders else ""
