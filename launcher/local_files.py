"""The files of one local block, in `$NUNATAK_HOME/blocks/ID/`: its script, output, exit code, and who it is.

Parsl names them ID.TIME.sh, and ID.TIME.sh with .out, .err and .ec; the script itself writes the identity.
"""

from pathlib import Path

#: A copy of /proc/PID/stat, written by the script as the first thing that it does; the id and the start stay through its `exec`.
IDENTITY = "identity"


def exit_code_text(folder: Path) -> str | None:
    """What stands in the exit code's file: "-" while the script runs or when it was killed; None: it was never started."""
    return next((file.read_text(encoding="ascii", errors="replace").strip() for file in sorted(folder.glob("*.ec"))), None)


def output_tail(folder: Path, lines: int = 20, max_bytes: int = 16384) -> str:
    """The last lines of what the block said, errors last, to be shown after a bad end; empty if it said nothing."""
    files = sorted(folder.glob("*.out")) + sorted(folder.glob("*.err"))
    said = [(file, _last_lines(file, lines, max_bytes)) for file in files]
    return "\n".join(f"{file}:\n{text}" for file, text in said if text)


def _last_lines(file: Path, lines: int, max_bytes: int) -> str:
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - max_bytes))
        text = stream.read().decode("utf-8", errors="replace")
    return "\n".join(text.splitlines()[-lines:])
