"""The errors of this folder: every one says what is wrong, with the value, and what to do next."""

from pathlib import Path


class TaskError(Exception):
    """Whatever is wrong with one jobfile or what was said about it."""


class BadInput(TaskError, ValueError):
    """A text of the user's that cannot be understood; `remedy` is the next step, as a phrase or a command."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason, remedy)
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


class BadQuantity(BadInput):
    """A duration, an amount of memory or a count that is not one. Correct the value as the remedy shows."""


class BadRule(BadInput):
    """A done rule that is not one. Correct it as the remedy shows; docs and `--help` list the fields and the presets."""


class RuleDoesNotFit(BadRule):
    """A good done rule that names no outputs for this jobfile. Choose another with `--done`, or say `done=` in the jobfile."""


class CannotLook(TaskError):
    """The filesystem did not say whether a file is there (I/O error, stale handle): neither yes nor no. Look again later."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(path, error)
        self.path = path
        self.error = error

    def __str__(self) -> str:
        return f"cannot look at {self.path}: {self.error.strerror or self.error}; look again when the filesystem answers"


class BadJobfile(TaskError):
    """A file that cannot be run as a jobfile; `line` is None if the whole file is meant."""

    def __init__(self, path: Path, line: int | None, reason: str, remedy: str) -> None:
        super().__init__(path, line, reason, remedy)
        self.path = path
        self.line = line
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        place = str(self.path) if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.reason}; {self.remedy}"


class JobfileGone(BadJobfile):
    """Its directory is there and the file is not: somebody has removed it, and no node can run it."""


class JobfileUnreadable(BadJobfile):
    """The filesystem refused to give the file (permission, I/O error, not mounted here): another node may have more luck."""
