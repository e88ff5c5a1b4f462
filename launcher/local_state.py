"""What a local block's processes and files mean: facts are gathered here, and judged by one pure function."""

from dataclasses import dataclass
from pathlib import Path

from launcher.block import Block, BlockState
from launcher.local_files import IDENTITY, exit_code_text
from launcher.process import PROC, Process, here, is_alive, read_stat
from launcher.sighting import Sighting

#: Parsl waits 30 s for a script to start; after twice that, a block of which there is no trace was never started.
START_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What this host can see of a local block."""

    #: The block was started on this host.
    same_host: bool
    #: The host was not restarted since.
    same_boot: bool
    #: A process of the block runs.
    alive: bool
    #: Some process of it was seen, now or by whoever submitted it.
    was_started: bool
    #: The text of the exit code's file; None: no file.
    exit_code: str | None
    #: It was asked to end.
    cancelled: bool
    #: How long ago it was submitted.
    age_s: float


def gather(block: Block, folder: Path, now: float, proc: Path = PROC) -> Facts:
    """Look at the block's processes, and only then at its exit code: whoever writes that ends after it."""
    place, recorded = here(proc), block.process
    same_boot = recorded is not None and recorded.boot == place.boot
    same_host = recorded is not None and recorded.host == place.host
    shell = recorded if recorded and recorded.pid else None
    alive = shell is not None and same_boot and is_alive(shell, proc)
    main = script_process(folder, place)
    alive = alive or (main is not None and same_boot and is_alive(main, proc))
    return Facts(
        same_host=same_host,
        same_boot=same_boot,
        alive=alive,
        was_started=shell is not None or main is not None,
        exit_code=exit_code_text(folder),
        cancelled=block.cancelled_at is not None,
        age_s=now - block.submitted_at,
    )


def script_process(folder: Path, place: Process) -> Process | None:
    """Who the script said that it is; None if it has not, or not yet."""
    stat = read_stat(folder / IDENTITY)
    return Process(host=place.host, boot=place.boot, pid=stat.pid, started=stat.started) if stat else None


def judge(facts: Facts) -> Sighting:
    """The state that these facts prove; what cannot be seen from here is UNKNOWN."""
    if not facts.same_host:
        return Sighting(state=BlockState.UNKNOWN, reason="it runs on another host: look there")
    if facts.alive:
        return Sighting(state=BlockState.LEAVING if facts.cancelled else BlockState.RUNNING)
    if facts.exit_code not in (None, "-", ""):
        return _ended_with(str(facts.exit_code), facts.cancelled)
    if not facts.was_started and facts.same_boot and facts.age_s < START_S:
        return Sighting(state=BlockState.INTENDED, reason="it is being started")
    return _gone(facts)


def _ended_with(exit_code: str, cancelled: bool) -> Sighting:
    if cancelled:
        return Sighting(state=BlockState.CANCELLED)
    if exit_code == "0":
        return Sighting(state=BlockState.ENDED)
    return Sighting(state=BlockState.FAILED, reason=f"its script ended with exit code {exit_code}")


def _gone(facts: Facts) -> Sighting:
    """Nothing of it lives, and nobody wrote how it ended."""
    if facts.cancelled:
        return Sighting(state=BlockState.CANCELLED)
    if not facts.same_boot:
        return Sighting(state=BlockState.FAILED, reason="the machine was restarted")
    if not facts.was_started:
        return Sighting(state=BlockState.FAILED, reason="it was never started")
    return Sighting(state=BlockState.FAILED, reason="it was killed from outside")
