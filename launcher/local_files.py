"""The files of one local block, in `$NUNATAK_HOME/blocks/ID/`: its script, output, exit code, and who it is.

Parsl names them ID.TIME.sh, and ID.TIME.sh with .out, .err and .ec; the script itself writes the identity.
"""

from pathlib import Path

#: A copy of /proc/PID/stat, written by the script as the first thing that it does; the id and the start stay through its `exec`.
IDENTITY = "identity"


def exit_code_text(folder: Path) -> str | None:
    """What stands in the exit code's file: "-" while the script runs or when it was killed; None: it was never started."""
    return next((file.read_text(encoding="ascii", errors="replace").strip() for file in sorted(folder.glob("*.ec"))), None)
