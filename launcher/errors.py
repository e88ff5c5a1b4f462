"""What can go wrong with a site or a block; each error's text ends with what to do next."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path


class LauncherError(Exception):
    """Any refusal of the launcher; catch this at the edge and print it."""


class BadSite(LauncherError):
    """A site file cannot be used; correct the named line."""

    def __init__(self, path: Path | str, line: int, reason: str, remedy: str) -> None:
        super().__init__(f"{path}:{line}: {reason}. {remedy}")
        self.path, self.line, self.reason, self.remedy = str(path), line, reason, remedy


class NoSite(LauncherError):
    """No site of that name; the text lists the names that exist."""


class BadTemplate(LauncherError):
    """A script template asks for what nobody gives, or the other way round; correct the template."""

    def __init__(self, name: str, line: int, reason: str, remedy: str) -> None:
        super().__init__(f"{name}:{line}: {reason}. {remedy}")
        self.name, self.line, self.reason, self.remedy = name, line, reason, remedy


class SubmitFailed(LauncherError):
    """A block could not be submitted, as far as is known; its script is kept where the text says, to be tried by hand."""

    def __init__(self, text: str, *, refused: bool = False) -> None:
        super().__init__(text)
        #: The scheduler said no, for certain. Otherwise the block may have been submitted all the same.
        self.refused = refused


class SubmitRefused(LauncherError):
    """The ledger allows no other block now; nothing was submitted."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{REFUSALS.get(why, f'the ledger said {why!r}')}. Nothing was submitted")
        #: The ledger's word.
        self.why = why


#: What the ledger's words mean.
REFUSALS: Mapping[str, str] = {
    "exists": "a block of this name is recorded already",
    "changed": "another launcher has submitted a block in this moment, or one has ended; look again",
    "cap": "the site has as many blocks as are allowed",
    "hour": "the site has had as many submissions in the last hour as are allowed",
    "paused": "the site is paused; lift it with `nunatak blocks resume` when its reason is gone",
}


class CancelFailed(LauncherError):
    """The scheduler could not be told to end a block; the next look at it tells it again."""


class BlockExists(LauncherError):
    """Somebody has submitted a block of this name, or is about to; use another name."""


class NoProgram(LauncherError):
    """Our own `nunatak` program is not where this installation should have it; install again."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A remedy for a word that nobody knows: the nearest known one, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known are: {', '.join(names)}"
