"""What a block has said: its script's output, and that of everything that the script starts."""

from pathlib import Path

#: Output first, errors last: they stand next to the prompt.
SUFFIXES = (".out", ".err")


def output_tail(folder: Path, lines: int = 20, max_bytes: int = 16384) -> str:
    """The last lines of what the block said, errors last, to be shown after a bad end; empty if it said nothing."""
    files = [file for suffix in SUFFIXES for file in sorted(folder.glob(f"*{suffix}"))]
    said = [(file, _last_lines(file, lines, max_bytes)) for file in files]
    return "\n".join(f"{file}:\n{text}" for file, text in said if text)


def _last_lines(file: Path, lines: int, max_bytes: int) -> str:
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - max_bytes))
        text = stream.read().decode("utf-8", errors="replace")
    return "\n".join(text.splitlines()[-lines:])
