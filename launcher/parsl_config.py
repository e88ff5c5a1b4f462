"""Reads a site from a user's Parsl config: the provider, the provider's options, and the workers per node of its executor."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.errors import BadSite
from launcher.parsl_module import OR_A_SITE, ParslModule, run_module
from launcher.site_values import SiteValues
from launcher.walltime import parse_walltime

#: Arguments of every provider that are a site's keys.
_TAKEN = ("nodes_per_block", "cores_per_node", "init_blocks", "min_blocks", "max_blocks")
#: And of Slurm's.
_TAKEN_FROM_SLURM = (*_TAKEN, "walltime", "partition", "account", "qos", "constraint", "worker_init")
#: Arguments of Slurm's that are one more `#SBATCH` line.
_LINES = {"clusters": "--clusters", "gres": "--gres", "gpus_per_node": "--gpus-per-node"}
#: The arguments, of executors too, that are another key than their name says.
_WRITTEN_AS = {
    "max_workers": ("max_workers_per_node", "max_workers", "cores_per_worker"),
    "scheduler_options": ("scheduler_options", "overrides", *_LINES),
    "cmd_timeout_s": ("cmd_timeout",),
}
#: Arguments of executors and of `Config` that tell a user nothing when they are said to be passed over.
_UNREMARKABLE = {"label", "provider", "executors", "max_workers_per_node", "cores_per_worker"}


@dataclass(frozen=True, kw_only=True)
class _Config:
    path: Path
    module: ParslModule
    #: The `Config` object.
    config: Any
    #: Its one executor that has a provider.
    executor: Any
    provider: Any
    #: Whether the provider is Parsl's own for Slurm, which was only read.
    is_slurm: bool


def read_parsl_config(path: Path) -> SiteValues:
    """What the config says of a site. Raises BadSite with file, line and remedy, NoSite if the file cannot be read."""
    config = _open(path)
    values = _slurm_values(config) if config.is_slurm else _other_values(config)
    values |= {"max_workers": _workers(config), "parsl_config": str(path.absolute())}
    return SiteValues(
        path=path,
        values=values,
        place_of=lambda key, nth: (path, _line_of(config.module.text, key, nth)),
        notes=[f"{path}: {note}" for note in (*config.module.notes, *_notes(config))],
    )


def load_provider(path: Path) -> Any:
    """The provider object of this config, to submit and cancel with: any but Parsl's own for Slurm, of which a site takes the options."""
    config = _open(path)
    if config.is_slurm:
        raise BadSite(path, 1, "its provider is Parsl's SlurmProvider", 'Use provider = "slurm" in the site file')
    return config.provider


def _open(path: Path) -> _Config:
    from launcher.parsl_standins import is_provider, is_read_only

    module = run_module(path)
    config = _the_config(path, module)
    executor = _the_executor(path, module, config)
    if not is_provider(executor.provider):
        reason = f"the provider is {executor.provider!r}, and none of Parsl's"
        raise BadSite(path, _line_of(module.text, "provider"), reason, "Use one of parsl.providers, or a class that extends one")
    return _Config(
        path=path,
        module=module,
        config=config,
        executor=executor,
        provider=executor.provider,
        is_slurm=is_read_only(executor.provider),
    )


def _the_config(path: Path, module: ParslModule) -> Any:
    """The config called `config`, or the only one."""
    from launcher.parsl_standins import is_config

    found = {id(value): value for value in (*module.names.values(), *module.loaded) if is_config(value)}
    named = module.names.get("config")
    if id(named) in found:
        return named
    if len(found) == 1:
        return next(iter(found.values()))
    if isinstance(named, dict):
        raise BadSite(path, _line_of(module.text, "config"), "config is a dict, as in Parsl before 0.6", f"Use Config(...), {OR_A_SITE}")
    reason = f"it makes {len(found)} of parsl.config.Config" if found else "it makes no parsl.config.Config"
    raise BadSite(path, 1, reason, f"Call the one to be used `config`, {OR_A_SITE}")


def _the_executor(path: Path, module: ParslModule, config: Any) -> Any:
    """The one executor that has a provider."""
    having = [executor for executor in getattr(config, "executors", None) or () if getattr(executor, "provider", None) is not None]
    if len(having) == 1:
        return having[0]
    line = _line_of(module.text, "executors")
    if not having:
        raise BadSite(path, line, "no executor has a provider", f"Give one provider=SlurmProvider(...), {OR_A_SITE}")
    labels = ", ".join(repr(getattr(executor, "label", type(executor).__name__)) for executor in having)
    reason = f"{len(having)} executors have a provider ({labels}), and a site has one"
    raise BadSite(path, line, reason, "Split them into one config file each")


def _slurm_values(config: _Config) -> dict[str, Any]:
    provider = config.provider
    lines = [f"#SBATCH {option}={value}" for name, option in _LINES.items() if (value := getattr(provider, name))]
    return {
        "provider": "slurm",
        **{name: getattr(provider, name) for name in _TAKEN_FROM_SLURM if getattr(provider, name) is not None},
        "scheduler_options": "\n".join([*provider.scheduler_options.splitlines(), *lines]),
        # Parsl's default, 10 s, is less than a busy controller takes.
        **({"cmd_timeout_s": provider.cmd_timeout} if "cmd_timeout" in provider.given else {}),
    }


def _other_values(config: _Config) -> dict[str, Any]:
    """Its own script has the provider's worker_init and scheduler_options already."""
    provider = config.provider
    said = {name: getattr(provider, name, None) for name in _TAKEN}
    said["partition"] = getattr(provider, "partition", None) or getattr(provider, "queue", None)
    walltime = getattr(provider, "walltime", None)
    return {
        "provider": "parsl",
        **{name: value for name, value in said.items() if value is not None},
        **({"walltime": walltime} if _is_walltime(walltime) else {}),
    }


def _is_walltime(value: object) -> bool:
    try:
        return isinstance(value, str) and parse_walltime(value) > 0
    except ValueError:
        return False


def _workers(config: _Config) -> int | None:
    """Workers per node as Parsl would have them: as said, or as many as have processors enough; None: one per processor."""
    executor = config.executor
    said, each = getattr(executor, "max_workers_per_node", None), getattr(executor, "cores_per_worker", None)
    if isinstance(said, int) or not each or each == 1:
        return said if isinstance(said, int) else None
    cores = getattr(config.provider, "cores_per_node", None)
    if cores is None:
        line = _line_of(config.module.text, "max_workers")
        reason = f"cores_per_worker={each}: how many fit on a node depends on its processors"
        raise BadSite(config.path, line, reason, "Add max_workers_per_node= to the executor")
    return max(1, int(cores // each))


def _notes(config: _Config) -> Iterator[str]:
    """What a user may believe to be at work and is not."""
    provider = config.provider
    launcher = getattr(provider, "launcher", None)
    if config.is_slurm and launcher is not None:
        overrides = getattr(launcher, "overrides", "")
        given = f"(overrides={overrides!r})" if overrides else ""
        yield f"launcher={type(launcher).__name__}{given} is passed over: a block starts one srun on each of its nodes"
    if config.is_slurm and not provider.exclusive:
        yield "exclusive=False is passed over: a block has its nodes to itself"
    if config.is_slurm and provider.mem_per_node:
        yield f"mem_per_node={provider.mem_per_node} is passed over: a block has all memory of its nodes"
    unused = [*_unused(config.executor), *_unused(config.config)]
    if unused:
        yield f"not used here: {', '.join(unused)}"


def _unused(remembered: Any) -> list[str]:
    given: Mapping[str, Any] = getattr(remembered, "given", {})
    return [f"{name}=" for name in given if name not in _UNREMARKABLE]


def _line_of(text: str, key: str, nth: int | None = None) -> int:
    """The line of the argument that a key is read from, or the n-th (from 0) of its text; 1 if it does not stand there by name."""
    for name in _WRITTEN_AS.get(key, (key,)):
        found = re.search(rf"\b{name}\s*=(?!=)(?:\s*([rf]?\"\"\"|[rf]?'''))?", text)
        if found is not None:
            return text.count("\n", 0, found.start()) + 1 + (nth or 0 if found[1] else 0)
    return 1
