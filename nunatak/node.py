"""What a node's guard and worker are told: the settings, the block's parameters and this host, put together."""

import os
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from broker.home import Home
from nunatak.block_file import BlockFile, venv_here
from nunatak.errors import WrongUse
from nunatak.settings import Settings, WorkerDefaults, variable
from nunatak.unpacked import unpacked_folder
from tasks.guard.settings import GuardSettings
from tasks.settings import WorkerSettings

#: Of a block that lasts a few minutes only, no larger part than this is kept for its end.
_LARGEST_WARNING = 0.1
#: Jobfiles run on until so long before the end, or for half of the warning: what a guard gives its worker to hand back, and some seconds
#: for clocks that differ.
_HAND_BACK_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """The host and the Python that a node's processes run on."""

    #: The node's name.
    node: str
    python: str
    #: Our virtual environment; None: we are in none.
    venv: str | None
    #: Node-local folder for the logs of guard and worker.
    log_dir: Path
    #: Node-local folder that a block's archive was unpacked to, from which we run; None: we are installed.
    folder: Path | None = None

    @classmethod
    def here(cls, log_dir: str, node: str | None = None) -> Self:
        return cls(
            node=node or os.uname().nodename,
            python=sys.executable,
            venv=venv_here(),
            log_dir=Path(log_dir).expanduser() if log_dir else Path(tempfile.gettempdir()) / f"nunatak-{os.getuid()}",
            folder=unpacked_folder(),
        )

    def log_file(self, block_id: str) -> Path:
        """Where guard and worker of this block write on this node."""
        return self.log_dir / f"{block_id}-{self.node}.log"

    def command(self, module: str, *words: str) -> tuple[str, ...]:
        """The command line that runs a module of ours, isolated from the user's own Python."""
        if self.folder is not None:
            return (self.python, "-I", "-S", str(self.folder), module, *words)
        return (self.python, "-I", "-m", module, *words)


@dataclass(frozen=True, kw_only=True)
class Span:
    """A block's time on this node, Unix seconds."""

    started: float
    #: When the guard ends what runs; None: at no time.
    ends: float | None = None
    #: From when on nothing is claimed any more; None: as long as anything runs.
    warns: float | None = None


def span(block: BlockFile, *, started_at: float | None, ends_at: float | None, now: float) -> Span:
    """The block's time, from what the scheduler has said; where it has not, from the walltime that it was submitted with."""
    started = now if started_at is None else started_at
    end = ends_at
    if end is None:
        end = block.deadline_unix
    if end is None and block.walltime_s is not None:
        end = started + block.walltime_s
    if end is None:
        return Span(started=started)
    warn_s = min(block.warn_s, max(0.0, end - started) * _LARGEST_WARNING)
    return Span(started=started, ends=end - _reserve_s(warn_s), warns=end - warn_s if warn_s else None)


def _reserve_s(warn_s: float) -> float:
    """What of the warning is kept for handing back."""
    return min(warn_s / 2, _HAND_BACK_S)


def node_settings(home: Home, block: BlockFile, otherwise: "Settings | None") -> Settings:
    """The settings as the block was submitted with; `otherwise`, the node's own, for a block that was given none."""
    if block.worker is None and otherwise is None:
        raise WrongUse(f"block {block.block} was given no settings: submit another block")
    if block.worker is None:
        assert otherwise is not None
        return otherwise
    try:
        own = WorkerDefaults(**block.worker)
    except (TypeError, ValueError) as error:
        raise WrongUse(f"block {block.block} was submitted by another version of nunatak ({error}); submit another block") from error
    return replace(otherwise, worker=own) if otherwise else Settings(home=home, worker=own)


def worker_settings(settings: Settings, block: BlockFile, place: Place, times: Span | None = None) -> WorkerSettings:
    """What the node's worker is told."""
    times = times or _whole(block)
    return WorkerSettings(
        home=str(settings.home.root),
        block=block.block,
        node=place.node,
        site=block.site,
        slots=block.slots,
        campaigns=block.campaigns,
        deadline_unix=times.ends,
        idle_s=settings.worker.idle_s if block.idle_s is None else block.idle_s,
        stay_until_unix=times.started + block.least_charged_s if block.least_charged_s else None,
        no_broker_idle_s=settings.worker.no_broker_idle_s,
    )


def guard_settings(settings: Settings, block: BlockFile, place: Place, times: Span | None = None) -> GuardSettings:
    """What the node's guard is told; the worker's command is among it."""
    own = settings.worker
    times = times or _whole(block)
    return GuardSettings(
        block=block.block,
        node=place.node,
        worker_argv=place.command("tasks.worker", worker_settings(settings, block, place, times).to_json()),
        slots=block.slots,
        log_file=str(place.log_file(block.block)),
        log_copy=None if own.keep_logs else str(settings.home.blocks_dir / f"{block.block}.{place.node}.log"),
        term_grace_s=own.term_grace_s,
        hello_timeout_s=own.hello_timeout_s,
        deadline_unix=times.ends,
        warn_unix=times.warns,
        warned_s=block.warn_s - _reserve_s(block.warn_s),
        tmp_root=own.tmp_root or None,
        bind=own.bind,
        core_limit=None if own.core_limit < 0 else own.core_limit,
        oom_score_adj=own.oom_score_adj,
        keep_slurm_env=own.keep_slurm_env,
        venv=block.venv or place.venv,
        # An external server's URL may hold its password.
        drop_env=(variable("server", "url"),),
        min_cpus=block.cores_per_node,
        own_folder=None if place.folder is None else str(place.folder),
    )


def _whole(block: BlockFile) -> Span:
    return span(block, started_at=None, ends_at=None, now=time.time())


def guard_argv(guard: GuardSettings, place: Place) -> list[str]:
    """The command of the node's guard."""
    return [*place.command("tasks.guard", guard.to_json())]
