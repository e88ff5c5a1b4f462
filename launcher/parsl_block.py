"""Submits, watches and cancels blocks through the provider of a user's own Parsl config, whichever it is.

What such a provider says is taken with care: Parsl's own say COMPLETED of a job that their scheduler did not mention. So COMPLETED ends a
block only when it has been said for as long as Slurm must lack one; an end that has a reason is taken at once.
"""

import json
import logging
import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from launcher.answer import Heard
from launcher.block import Block, BlockState
from launcher.errors import CancelFailed, LauncherError, SubmitFailed
from launcher.order import Order
from launcher.sighting import Sighting
from launcher.site import Site
from launcher.slurm_files import NODE_SCRIPT
from launcher.slurm_script import node_script
from launcher.slurm_state import MISSING_S

log = logging.getLogger(__name__)

#: What the provider keeps of a job, for the next process.
_PROVIDER_FILE = "provider.json"
#: What a person can do for a block of which nobody knows whether it was submitted.
_UNSURE = "whether it was submitted is not known: see your scheduler's list, and cancel the block when it is not there"
#: Parsl's words -> ours.
_STATES: Mapping[str, BlockState] = {
    "PENDING": BlockState.WAITING,
    "HELD": BlockState.WAITING,
    "RUNNING": BlockState.RUNNING,
    "CANCELLED": BlockState.CANCELLED,
    "FAILED": BlockState.FAILED,
    "TIMEOUT": BlockState.ENDED,
}


class ParslBlocks:
    """The side of launcher/blocks.py for providers that we do not know."""

    def intend(self, site: Site, block: Block) -> Block:
        """Complete the intent: with how many slots."""
        return replace(block, slots=site.max_workers or site.cores_per_node or 1)

    def submit(self, site: Site, block: Block, folder: Path, order: Order) -> Block:
        """Hand the provider one command for each node. Raises SubmitFailed."""
        script = folder / NODE_SCRIPT
        script.touch(mode=0o600)
        script.write_bytes(os.fsencode(node_script(site, block.block_id, order)))
        command = f"exec /bin/bash {_plain(script)}"
        provider = _provider(block, folder)
        try:
            job_id = provider.submit(command, 1, block.block_id)
        except _foreign() as error:
            what = f"the provider of {block.parsl_config} did not submit block {block.block_id}, as far as is known: {_said(error)}"
            raise SubmitFailed(f"{what}. Its scripts are kept in {folder}") from error
        if not job_id:
            what = f"the provider of {block.parsl_config} gave block {block.block_id} no number"
            raise SubmitFailed(f"{what}. Its scripts are kept in {folder}")
        _keep(folder, provider.resources.get(job_id))
        return replace(block, state=BlockState.WAITING, job_id=str(job_id))

    def look_all(self, blocks: Sequence[tuple[Block, Path]], now: float, timeout_s: float) -> Heard:  # noqa: ARG002  # the provider has its own
        """What the providers say, each asked once."""
        sightings: dict[str, Sighting] = {}
        silence = []
        by_config = defaultdict(list)
        for block, folder in blocks:
            if block.job_id:
                by_config[block.parsl_config].append((block, folder))
            else:
                sightings[block.block_id] = _without_number(block)
        for config, theirs in by_config.items():
            try:
                sightings |= _ask(theirs, now)
            except _foreign() as error:
                log.info("parsl.silent config=%s why=%r", config, _said(error))
                silence.append(f"the provider of {config} did not answer: {_said(error)}")
        return Heard(sightings=sightings, silence="; ".join(silence))

    def cancel(self, block: Block, folder: Path, timeout_s: float) -> None:  # noqa: ARG002  # the provider has its own
        """Through the provider. Raises CancelFailed."""
        if not block.job_id:
            return
        try:
            provider = _provider(block, folder)
            _adopt(provider, block, folder)
            told = list(provider.cancel([block.job_id]))
        except _foreign() as error:
            raise CancelFailed(f"block {block.block_id} was not cancelled: {_said(error)}; cancel it again") from error
        if not all(told):
            raise CancelFailed(f"block {block.block_id} was not cancelled: its provider could not; cancel it again")


def _ask(blocks: Sequence[tuple[Block, Path]], now: float) -> dict[str, Sighting]:
    provider = _provider(*blocks[0])
    for block, folder in blocks:
        _adopt(provider, block, folder)
    told = provider.status([block.job_id for block, _ in blocks])
    return {block.block_id: _sighting(block, status, now) for (block, _), status in zip(blocks, told, strict=True)}


def _sighting(block: Block, status: Any, now: float) -> Sighting:
    word = str(getattr(status.state, "name", status.state))
    asked = block.cancelled_at is not None
    if word == "COMPLETED":
        return _completed(block, now)
    state = _STATES.get(word, BlockState.UNKNOWN)
    message = str(getattr(status, "message", None) or "")
    if state.is_over:
        reason = message or ("its walltime was over" if word == "TIMEOUT" else "")
        return Sighting(state=BlockState.CANCELLED if asked else state, reason=reason, mentioned=True)
    started = now if state is BlockState.RUNNING and block.started_at is None else None
    if state is BlockState.UNKNOWN:
        return Sighting(state=state, reason=f"its provider says {word}", mentioned=True)
    return Sighting(state=BlockState.LEAVING if asked else state, reason=message, started_at=started, mentioned=True)


def _completed(block: Block, now: float) -> Sighting:
    if block.missing_since is None or now - block.missing_since < MISSING_S:
        reason = "its provider says COMPLETED, which may mean that its scheduler has not mentioned it"
        return Sighting(state=BlockState.UNKNOWN, reason=reason, mentioned=False)
    return Sighting(state=BlockState.ENDED if block.cancelled_at is None else BlockState.CANCELLED, mentioned=False)


def _without_number(block: Block) -> Sighting:
    """No provider can look for a name. A person who cancels it has looked."""
    if block.cancelled_at is not None:
        return Sighting(state=BlockState.CANCELLED)
    return Sighting(state=block.state, reason=block.reason or _UNSURE)


def _provider(block: Block, folder: Path) -> Any:
    from launcher.parsl_config import load_provider

    provider = load_provider(Path(block.parsl_config))
    provider.script_dir = str(folder)
    return provider


def _adopt(provider: Any, block: Block, folder: Path) -> None:
    """Let it believe that it has submitted the job itself, and that it does not know yet what has become of it."""
    from parsl.jobs.states import JobState, JobStatus

    try:
        kept = json.loads((folder / _PROVIDER_FILE).read_bytes())
    except FileNotFoundError:
        kept = {}
    provider.resources[block.job_id] = {"job_id": block.job_id, **kept, "status": JobStatus(JobState.PENDING)}


def _keep(folder: Path, job: Any) -> None:
    plain = {key: value for key, value in job.items() if isinstance(value, str | int | float)} if isinstance(job, dict) else {}
    (folder / _PROVIDER_FILE).write_text(json.dumps(plain), encoding="utf-8")


def _plain(script: Path) -> str:
    """Parsl's launchers put the command through here-documents and quotes of their own; only a plain path comes out as it went in."""
    if not re.fullmatch(r"[\w/.,:@%+=-]+", str(script)):
        what = f"{script} has blanks or signs in its name that Parsl's launchers do not bear"
        raise SubmitFailed(f"{what}; set NUNATAK_HOME to a plain one", refused=True)
    return str(script)


def _foreign() -> tuple[type[Exception], ...]:
    """What other people's providers raise when their commands fail."""
    from parsl.errors import ParslError

    return (LauncherError, ParslError, OSError, subprocess.SubprocessError, LookupError, ValueError, TypeError, RuntimeError)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
