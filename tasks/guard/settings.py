"""The guard's settings, handed over by the roof as JSON on its command line (no secret is among them)."""

import difflib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Self


class BadSettings(ValueError):
    """The guard was started with settings that it cannot use; correct the caller."""


@dataclass(frozen=True, kw_only=True)
class GuardSettings:
    """What one guard on one node needs to know."""

    block: str
    #: The node's name, as the ledger shows it.
    node: str
    #: The Celery worker's command; `--guard-fd N` is added.
    worker_argv: tuple[str, ...]
    #: Jobfiles at a time.
    slots: int
    #: Where the guard's log and the worker's output go (node-local, appended to).
    log_file: str
    #: Where the log's last part goes after a bad end; a good end then removes the log. None: it stays where it is.
    log_copy: str | None = None
    #: Between SIGTERM and SIGKILL when the node leaves.
    term_grace_s: float = 2.0
    #: A worker that has been silent for this long is hung and replaced (LEASES rule 15).
    hello_timeout_s: float = 90.0
    #: What a worker has for handing back when the node leaves; Slurm's KillWait is 30 s.
    leave_timeout_s: float = 20.0
    #: A result record that is not written after this time does not hold up the settle (LEASES rule 18).
    record_timeout_s: float = 60.0
    #: When jobfiles are ended, Unix seconds: a little before the block's end; None: it has none.
    deadline_unix: float | None = None
    #: From when on nothing is claimed any more, Unix seconds; None: until the deadline.
    warn_unix: float | None = None
    #: After a USR1 that the deadline does not explain, jobfiles are ended in so many seconds.
    warned_s: float = 0.0
    #: Where the jobfiles' TMPDIRs are made (node-local); None: in the block's own TMPDIR, else /tmp.
    tmp_root: str | None = None
    #: "none", or "slot": each jobfile is bound to its share of the processors.
    bind: str = "none"
    #: RLIMIT_CORE of jobfiles in bytes; None: as the block has it.
    core_limit: int | None = 0
    #: Added badness of jobfiles, so that memory pressure never takes the guard.
    oom_score_adj: int = 500
    #: Leave SLURM_*, PMI_* and PMIX_* in the jobfiles' environment.
    keep_slurm_env: bool = False
    #: Our own virtual environment, which jobfiles must not see.
    venv: str | None = None
    #: Further variables that are ours and not the jobfiles'.
    drop_env: tuple[str, ...] = ()
    #: With fewer processors than this the guard refuses to start.
    min_cpus: int | None = None
    #: Node-local folder that our code runs from, removed as the last thing; None: we are installed.
    own_folder: str | None = None

    def __post_init__(self) -> None:
        if self.slots < 1:
            raise BadSettings(f"slots={self.slots}: use 1 or more")
        if self.bind not in ("none", "slot"):
            raise BadSettings(f'bind={self.bind!r}: use "none" or "slot"')
        if not self.worker_argv:
            raise BadSettings("worker_argv is empty: give the worker's command")

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises BadSettings, naming what is wrong."""
        try:
            given = json.loads(text)
        except ValueError as error:
            raise BadSettings(f"the settings are not JSON: {error}") from error
        if not isinstance(given, dict):
            raise BadSettings(f"the settings are no JSON object but {text[:40]!r}")
        _check_names(given, [f.name for f in fields(cls)])
        lists = {name: tuple(given[name]) for name in ("worker_argv", "drop_env") if name in given}
        try:
            return cls(**{**given, **lists})
        except TypeError as error:
            raise BadSettings(f"the settings do not fit: {error}") from error


def _check_names(given: dict[str, Any], known: list[str]) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f", did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
            raise BadSettings(f"unknown setting {name!r}{hint}")
