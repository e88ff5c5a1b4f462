"""The line for a crontab that lets `nunatak blocks tick` run each minute: cron knows neither our environment nor a user's."""

import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from launcher.command import own_program
from nunatak.settings import Settings

#: What cron has by itself.
_PATH = ("/usr/bin", "/bin")
#: What a tick may call: the scheduler's commands, and a server to start again.
_PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol", "valkey-server", "redis-server")


def cron_line(settings: Settings, environ: Mapping[str, str] | None = None, which: Callable[[str], str | None] = shutil.which) -> str:
    """`* * * * * NUNATAK_HOME=… python -I …/nunatak blocks tick`, by absolute paths, so that nothing depends on a login shell."""
    environ = os.environ if environ is None else environ
    found = [which(name) for name in _PROGRAMS]
    folders = dict.fromkeys([*(str(Path(path).parent) for path in found if path), *_PATH])
    variables = {"NUNATAK_HOME": str(settings.home.root), "PATH": ":".join(folders)}
    variables |= {name: environ[name] for name in ("SLURM_CONF", "NUNATAK_REDIS_SERVER") if environ.get(name)}
    words = [*(f"{name}={shlex.quote(value)}" for name, value in variables.items()), *map(shlex.quote, own_program())]
    # A percent sign ends a command in a crontab.
    return f"* * * * * {' '.join(words)} blocks tick".replace("%", r"\%")


def unheard_variables(settings: Settings) -> list[str]:
    """Settings that come from this shell's environment, which cron's commands will not have."""
    return sorted(origin for name, origin in settings.origins.items() if origin.startswith("$") and name != "home")
