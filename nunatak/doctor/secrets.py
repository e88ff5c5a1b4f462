"""Who may read the password and what else is secret."""

from collections.abc import Iterator
from dataclasses import dataclass

from nunatak.doctor.finding import Finding, bad, ok, skipped, warning

#: Its text opens the queue to whoever reads it, and whoever can write the queue runs programs as its user. The broker refuses an open one.
_PASSWORD = "password"
#: They may hold the URL of an external server, with its password.
_MAY_HOLD_ONE = ("address.json", "config.toml")


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One file or folder of the home."""

    #: Relative to the home; "." is the home.
    name: str
    path: str
    mode: int
    is_ours: bool


def judge_secrets(modes: tuple[Mode, ...]) -> Iterator[Finding]:
    """The home, and what lies in it."""
    if not modes:
        yield skipped("secrets", "the home is not there yet")
        return
    findings = list(_complaints(modes))
    yield from findings or [ok("secrets", f"{len(modes)} files and folders of the home are for their owner only")]


def _complaints(modes: tuple[Mode, ...]) -> Iterator[Finding]:
    home_is_shut = any(m.name == "." and not m.mode & 0o077 for m in modes)
    for found in modes:
        if not found.is_ours:
            yield bad("secrets", f"{found.path} belongs to somebody else", "use a home of your own: export NUNATAK_HOME=…")
        elif found.mode & 0o077 and (found.name in (".", _PASSWORD) or (found.name in _MAY_HOLD_ONE and not home_is_shut)):
            remedy = f"chmod {'700' if found.name == '.' else '600'} {found.path}"
            yield bad("secrets", f"{found.path} is open to others (mode {found.mode:o})", remedy)
        elif found.mode & 0o022 and not home_is_shut:
            yield warning("secrets", f"others can change {found.path} (mode {found.mode:o})", f"chmod go-rwx {found.path}")
