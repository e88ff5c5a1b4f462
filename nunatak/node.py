"""What a node's guard and worker are told: the settings, the block's parameters and this host, put together."""

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from nunatak.block_file import BlockFile
from nunatak.settings import Settings, variable
from tasks.guard.settings import GuardSettings
from tasks.settings import WorkerSettings


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

    @classmethod
    def here(cls, log_dir: str) -> Self:
        return cls(
            node=os.uname().nodename,
            python=sys.executable,
            venv=sys.prefix if sys.prefix != sys.base_prefix else None,
            log_dir=Path(log_dir).expanduser() if log_dir else Path(tempfile.gettempdir()) / f"nunatak-{os.getuid()}",
        )

    def log_file(self, block_id: str) -> Path:
        """Where guard and worker of this block write on this node."""
        return self.log_dir / f"{block_id}-{self.node}.log"


def worker_settings(settings: Settings, block: BlockFile, place: Place) -> WorkerSettings:
    """What the node's worker is told."""
    return WorkerSettings(
        home=str(settings.home.root),
        block=block.block,
        node=place.node,
        site=block.site,
        slots=block.slots,
        campaigns=block.campaigns,
        deadline_unix=block.deadline_unix,
        idle_s=settings.worker.idle_s,
        no_broker_idle_s=settings.worker.no_broker_idle_s,
    )


def guard_settings(settings: Settings, block: BlockFile, place: Place) -> GuardSettings:
    """What the node's guard is told; the worker's command is among it."""
    own = settings.worker
    return GuardSettings(
        block=block.block,
        node=place.node,
        worker_argv=(place.python, "-I", "-m", "tasks.worker", worker_settings(settings, block, place).to_json()),
        slots=block.slots,
        log_file=str(place.log_file(block.block)),
        log_copy=None if own.keep_logs else str(settings.home.blocks_dir / f"{block.block}.{place.node}.log"),
        term_grace_s=own.term_grace_s,
        hello_timeout_s=own.hello_timeout_s,
        deadline_unix=block.deadline_unix,
        tmp_root=own.tmp_root or None,
        bind=own.bind,
        core_limit=None if own.core_limit < 0 else own.core_limit,
        oom_score_adj=own.oom_score_adj,
        keep_slurm_env=own.keep_slurm_env,
        venv=place.venv,
        # An external server's URL may hold its password.
        drop_env=(variable("server", "url"),),
    )


def guard_argv(guard: GuardSettings, place: Place) -> list[str]:
    """The command of the node's guard."""
    return [place.python, "-I", "-m", "tasks.guard", guard.to_json()]
