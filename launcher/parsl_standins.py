"""What a Parsl config finds in the place of Parsl while we read it.

A config is read for its provider and a few figures; executors are never started. So executors, `Config` and the addresses are stand-ins
that only remember what they are given, `SlurmProvider` does not ask the scheduler (Parsl's runs `sacct` when it is made), and arguments and
modules that Parsl has dropped are taken, each with a note of what replaces it.

Importing this module imports Parsl (0.34 s): launcher/parsl_config.py does it when a config is read.
"""

import difflib
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import parsl
import parsl.addresses
import parsl.config
import parsl.executors
import parsl.launchers
import parsl.providers
import parsl.providers.base

#: Arguments that Parsl calls otherwise now.
RENAMED = {"max_workers": "max_workers_per_node", "overrides": "scheduler_options"}
#: Arguments that Parsl has dropped, and what is there instead.
DROPPED = {
    "channel": "scheduler commands run on this host",
    "channels": "scheduler commands run on this host",
    "move_files": "every host sees the same files",
    "script_dir": "a block's script lies in its own folder under $NUNATAK_HOME/blocks",
    "suppress_failure": "a lost node's jobfiles wait again, whatever it is set to",
    "managed": "blocks are scaled by nunatak blocks",
    "tasks_per_node": "use max_workers_per_node of the executor",
}
#: Modules that Parsl has dropped, with all that was in them.
_DROPPED_MODULES = ("parsl.channels", *(f"parsl.channels.{part}" for part in ("base", "errors", "local", "local.local", "ssh", "ssh.ssh")))


class Record:
    """What a config has made, and what there is to say of it."""

    def __init__(self) -> None:
        #: What was given to `parsl.load`.
        self.loaded: list[Any] = []
        #: Obsolete arguments and what replaces them, for a person.
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    def up_to_date(self, owner: str, known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by their present names, without those that are dropped; unknown ones are left in."""
        kept = dict(given)
        for old in [name for name in given if name not in known]:
            new = RENAMED.get(old, "")
            if new in known:
                kept.setdefault(new, kept.pop(old))
                self.note(f"{old}= of {owner} is obsolete: Parsl calls it {new} now, and it is read as that")
            elif old in DROPPED:
                del kept[old]
                self.note(f"{old}= of {owner} is obsolete and passed over: {DROPPED[old]}")
        return kept


class Remembered:
    """Stands for an executor or a `Config`: its arguments are its attributes."""

    def __init__(self, record: Record, known: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        given = record.up_to_date(type(self).__name__, known, kwargs)
        for name in [name for name in given if name not in known]:
            record.note(f"{name}= of {type(self).__name__} is unknown to this Parsl and passed over")
        #: By name, whether they were given by name or not.
        self.given = {**dict(zip(known, args, strict=False)), **given}
        vars(self).update(self.given)


class Dropped:
    """Stands for anything of a module that Parsl has dropped."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Takes whatever it once took."""


@contextmanager
def stand_ins(record: Record) -> Iterator[None]:
    """While this is open, configs find the stand-ins wherever they import from Parsl."""
    standing = _stand_ins(record)
    modules = {name: _dropped_module(name) for name in _DROPPED_MODULES if name not in sys.modules}
    sys.modules.update(modules)
    _swap({id(real): stand_in for real, stand_in in standing})
    try:
        yield
    finally:
        # Also in modules of Parsl's that were imported meanwhile.
        _swap({id(stand_in): real for real, stand_in in standing})
        for name in modules:
            sys.modules.pop(name, None)


def is_provider(value: object) -> bool:
    """Whether blocks can be submitted through it."""
    return isinstance(value, parsl.providers.base.ExecutionProvider)


def is_config(value: object) -> bool:
    """Whether it stands for a `Config`."""
    return isinstance(value, Remembered) and type(value).__name__ == "Config"


def is_read_only(provider: object) -> bool:
    """Whether it is a SlurmProvider that was only read, which nothing can be submitted through."""
    return getattr(type(provider), "read_only", None) is type(provider)


def _stand_ins(record: Record) -> list[tuple[Any, Any]]:
    """Each real thing with what stands for it."""
    remembered = [parsl.config.Config, *(getattr(parsl.executors, name) for name in parsl.executors.__all__)]
    providers = [getattr(parsl.providers, name) for name in parsl.providers.__all__]
    addresses = [value for name, value in vars(parsl.addresses).items() if name.startswith("address_by_") or name == "get_any_address"]
    return [
        *((real, _remembering(real, record)) for real in remembered),
        *((real, _tolerant(real, record)) for real in providers),
        # Nobody connects to it: workers find the broker by themselves. The real ones may ask the network.
        *((real, lambda *_args, **_kwargs: "127.0.0.1") for real in addresses),
        (parsl.load, lambda config=None, *_args, **_kwargs: record.loaded.append(config)),
    ]


def _remembering(real: Any, record: Record) -> type:
    known = _parameters(real)

    def init(self: Remembered, *args: Any, **kwargs: Any) -> None:
        Remembered.__init__(self, record, known, *args, **kwargs)

    return type(real.__name__, (Remembered,), {"__init__": init, "__doc__": real.__doc__})


def _tolerant(real: Any, record: Record) -> type:
    """A provider that takes obsolete arguments, too; one of Slurm's own kind keeps its arguments as attributes and does nothing else."""
    known = _parameters(real)

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        given = record.up_to_date(real.__name__, known, kwargs)
        for name in [name for name in given if name not in known]:
            close = difflib.get_close_matches(name, known, n=1)
            raise TypeError(f"{real.__name__} has no argument {name}=" + (f"; did you mean {close[0]}=?" if close else ""))
        if is_read_only(self):
            bound = inspect.Signature(list(known.values())).bind(*args, **given)
            self.given = frozenset(bound.arguments)
            bound.apply_defaults()
            vars(self).update(bound.arguments)
        else:
            real.__init__(self, *args, **given)

    # Parsl prints a provider by the signature of what its constructor wraps.
    init.__wrapped__ = real.__init__  # type: ignore[attr-defined]
    made: Any = type(real.__name__, (real,), {"__init__": init, "__doc__": real.__doc__})
    made.read_only = made if real is parsl.providers.SlurmProvider else None
    return made  # type: ignore[no-any-return]


def _parameters(real: Any) -> Mapping[str, inspect.Parameter]:
    return dict(list(inspect.signature(real.__init__).parameters.items())[1:])


def _dropped_module(name: str) -> ModuleType:
    module = ModuleType(name)
    vars(module)["__path__"] = []
    vars(module)["__getattr__"] = _dropped_name
    return module


def _dropped_name(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (Dropped,), {})


def _swap(instead: Mapping[int, Any]) -> None:
    for name, module in list(sys.modules.items()):
        if name == "parsl" or name.startswith("parsl."):
            for attribute, value in list(vars(module).items()):
                if id(value) in instead:
                    setattr(module, attribute, instead[id(value)])
