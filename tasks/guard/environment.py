"""The environment of a jobfile: the block's own, without what is ours or Slurm's, and with what we tell it. Pure."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from tasks.guard.protocol import StartOrder
from tasks.guard.settings import GuardSettings

#: With these a jobfile's MPI would take itself for a part of the guard's step; an `srun` inside was seen to land on another node.
_STEP_PREFIXES = ("SLURM_", "SLURMD_", "PMI_", "PMIX_")
#: It says which batch job this is, which is true and harmless.
_KEPT = "SLURM_JOB_ID"
#: Ours, but good for calling our own commands inside a jobfile.
_HOME = "NUNATAK_HOME"
_OF_A_VENV = ("VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "_OLD_VIRTUAL_PATH", "_OLD_VIRTUAL_PYTHONHOME", "_OLD_VIRTUAL_PS1")
_SEARCH_PATHS = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "MANPATH")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where on the node an attempt runs."""

    slot: int
    #: Processors that it is bound to, or that are its share.
    cpus: int
    tmpdir: str
    #: `PID:STARTTIME` of the guard, by which leftovers of a dead guard are known.
    guard: str


def block_environ(environ: Mapping[str, str], settings: GuardSettings) -> dict[str, str]:
    """What of the guard's environment is meant for jobfiles; the same for all, so computed once."""
    kept = {name: value for name, value in environ.items() if not _is_ours(name, settings)}
    return kept if settings.venv is None else _without_venv(kept, settings.venv.rstrip("/"))


def _is_ours(name: str, settings: GuardSettings) -> bool:
    if name in settings.drop_env or (name.startswith("NUNATAK_") and name != _HOME):
        return True
    return name.startswith(_STEP_PREFIXES) and name != _KEPT and not settings.keep_slurm_env


def _without_venv(environ: Mapping[str, str], venv: str) -> dict[str, str]:
    """Only our own virtual environment is taken out: a user's is part of the block's environment."""
    active = environ.get("VIRTUAL_ENV", "").rstrip("/") == venv
    kept = {name: value for name, value in environ.items() if not (active and name in _OF_A_VENV)}
    for name in _SEARCH_PATHS:
        if name in kept:
            kept[name] = ":".join(part for part in kept[name].split(":") if not _is_under(part, venv))
    return {n: v for n, v in kept.items() if not (n.startswith("PYTHON") and (_is_under(v, venv) or not v))}


def _is_under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")


def jobfile_environ(base: Mapping[str, str], settings: GuardSettings, order: StartOrder, place: Place) -> dict[str, str]:
    """The whole environment of one attempt. The worker's additions may not replace what the guard itself relies on."""
    environ = {**base, "PWD": order.cwd, "NUNATAK_CPUS": str(place.cpus), **order.environ, **_facts(settings, order, place)}
    environ.pop("OLDPWD", None)
    if settings.bind == "slot":
        environ.setdefault("OMP_NUM_THREADS", str(place.cpus))
    return environ


def _facts(settings: GuardSettings, order: StartOrder, place: Place) -> dict[str, str]:
    facts = {
        "NUNATAK_ATTEMPT": str(order.attempt),
        "NUNATAK_BLOCK": settings.block,
        "NUNATAK_GUARD": place.guard,
        "NUNATAK_NODE": settings.node,
        "NUNATAK_SLOT": str(place.slot),
        "NUNATAK_TOKEN": order.token,
        "TMPDIR": place.tmpdir,
    }
    if settings.deadline_unix is not None:
        facts["NUNATAK_DEADLINE"] = str(int(settings.deadline_unix))
    return facts


def tmp_root(environ: Mapping[str, str], settings: GuardSettings) -> str:
    """Where TMPDIRs are made."""
    return settings.tmp_root or environ.get("TMPDIR") or os.path.join("/", "tmp")
