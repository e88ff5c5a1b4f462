"""Runs a user's Parsl config module, and puts back whatever it changes of this process.

It runs as Python runs it, but under a name of its own, and with stand-ins for Parsl's executors (launcher/parsl_standins.py).
"""

import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from launcher.errors import BadSite, NoSite

#: Under what name the module runs: no `if __name__ == "__main__"` holds, and no other module is called so.
_MODULE = "nunatak_parsl_config"
#: What else a user can do whose config cannot be read.
OR_A_SITE = "or write a site file instead: nunatak sites copy slurm"


@dataclass(frozen=True, kw_only=True)
class ParslModule:
    """A config module that has run."""

    #: Its text.
    text: str
    #: Its names.
    names: Mapping[str, Any]
    #: What it gave to `parsl.load`.
    loaded: tuple[Any, ...]
    #: What was obsolete in it, and what replaces it.
    notes: tuple[str, ...]


def run_module(path: Path) -> ParslModule:
    """Run it. Raises BadSite with file, line and remedy if it fails, NoSite if it cannot be read."""
    from launcher.parsl_standins import Record, stand_ins

    try:
        source = path.read_bytes()
    except OSError as error:
        raise NoSite(f"cannot read the Parsl config {path}: {error.strerror}. Give its path with -f") from error
    record, module = Record(), ModuleType(_MODULE)
    module.__file__ = str(path.absolute())
    with stand_ins(record), _put_back(path.parent.absolute()):
        # Where dataclasses look for the module that a class comes from.
        sys.modules[_MODULE] = module
        _run(path, source, module)
    return ParslModule(text=source.decode(errors="replace"), names=vars(module), loaded=tuple(record.loaded), notes=tuple(record.notes))


@contextmanager
def _put_back(folder: Path) -> Iterator[None]:
    """Let the module import its neighbours, and then leave this process as it was."""
    modules, search_path, environment = set(sys.modules), list(sys.path), dict(os.environ)
    here = os.open(".", os.O_PATH)
    sys.path.insert(0, str(folder))
    try:
        # What it prints is no data of ours.
        with redirect_stdout(sys.stderr):
            yield
    finally:
        for name in set(sys.modules) - modules:
            if name == _MODULE or _is_neighbour(folder, name):
                del sys.modules[name]
        sys.path[:] = search_path
        os.environ.clear()
        os.environ.update(environment)
        os.fchdir(here)
        os.close(here)


def _is_neighbour(folder: Path, module: str) -> bool:
    """Another config may have another module of this name beside it."""
    top = folder / module.partition(".")[0]
    return top.is_dir() or top.with_name(f"{top.name}.py").is_file()


def _run(path: Path, source: bytes, module: ModuleType) -> None:
    try:
        exec(compile(source, str(path), "exec"), vars(module))
    except SyntaxError as error:
        raise BadSite(error.filename or path, error.lineno or 1, f"not Python: {error.msg}", f"Correct the line, {OR_A_SITE}") from error
    except (Exception, SystemExit) as error:  # somebody else's code may raise anything, and that is bad input
        reason = f"the Parsl config fails: {type(error).__name__}: {error}"
        raise BadSite(path, _line_in(path, error), reason, f"Correct it, {OR_A_SITE}") from error


def _line_in(path: Path, error: BaseException) -> int:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return next((line for line in reversed(lines) if line), 1)
