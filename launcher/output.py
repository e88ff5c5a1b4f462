"""What a block has said: its script's output, and that of everything that the script starts."""

from pathlib import Path

#: Output first, errors last: they stand next to the prompt.
SUFFIXES = (".out", ".err")
#: What the scheduler adds at the end, after the words that tell why.
_SCHEDULERS_OWN = ("srun: ", "slurmstepd: ")
#: Enough for a record and a line on the screen.
_LONGEST = 300


def output_tail(folder: Path, lines: int = 20, max_bytes: int = 16384) -> str:
    """The last lines of what the block said, errors last, to be shown after a bad end; empty if it said nothing."""
    said = [(file, _last_lines(file, lines, max_bytes)) for file in _files(folder)]
    return "\n".join(f"{file}:\n{text}" for file, text in said if text)


def last_line(folder: Path, lines: int = 20, max_bytes: int = 16384) -> str:
    """The last line of its own that says anything; empty if there is none."""
    said = [line.strip() for file in _files(folder) for line in _last_lines(file, lines, max_bytes).splitlines()]
    own = [line for line in said if line and not line.startswith(_SCHEDULERS_OWN)]
    return own[-1][:_LONGEST] if own else ""


def _files(folder: Path) -> list[Path]:
    return [file for suffix in SUFFIXES for file in sorted(folder.glob(f"*{suffix}"))]


def _last_lines(file: Path, lines: int, max_bytes: int) -> str:
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - max_bytes))
        text = stream.read().decode("utf-8", errors="replace")
    return "\n".join(text.splitlines()[-lines:])
