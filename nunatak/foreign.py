"""Refuses to start when Python would import other people's `broker`, `tasks` or `launcher` in the place of ours.

Packages of these names exist and may be installed beside us or lie on PYTHONPATH. Ours lie where `nunatak` lies, whether installed or
editable; whatever is found elsewhere is foreign. Nothing is imported to find out.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

#: Our top-level packages whose names others may use as well.
OURS = ("broker", "tasks", "launcher", "slurm_templates")


class ForeignPackage(Exception):
    """A package of ours is hidden by another one of its name, or missing; the text says where and what to do."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Where Python would import one of our packages from."""

    #: The package's name.
    name: str
    #: The folder it would come from; None: it would not be found.
    folder: Path | None
    #: The folder where ours lies.
    expected: Path

    @property
    def is_ours(self) -> bool:
        return self.folder is not None and os.path.realpath(self.folder) == os.path.realpath(self.expected)


def refuse_foreign() -> None:
    """Raise ForeignPackage if any of our packages would be somebody else's; call it before importing one of them."""
    for name in OURS:
        found = locate(name)
        if not found.is_ours:
            raise ForeignPackage(complaint(found, os.environ))


def locate(name: str) -> Found:
    """Where this package would come from, and where it should."""
    return Found(name=name, folder=_folder_of(name), expected=Path(__file__).parent.parent / name)


def complaint(found: Found, environ: Mapping[str, str]) -> str:
    """What is wrong and what to do about it."""
    if found.folder is None:
        return f"our package {found.name!r} is missing from {found.expected.parent}: install nunatak again"
    return f"the package {found.name!r} at {found.folder} is not nunatak's, which is at {found.expected}. {_remedy(found.folder, environ)}"


def _remedy(folder: Path, environ: Mapping[str, str]) -> str:
    parent = os.path.realpath(folder.parent)
    listed = (os.path.realpath(part) for part in environ.get("PYTHONPATH", "").split(os.pathsep) if part)
    if not sys.flags.ignore_environment and parent in listed:
        return f"Take {folder.parent} out of PYTHONPATH for this command: env -u PYTHONPATH nunatak …"
    if owners := packages_distributions().get(folder.name, []):
        names = " or ".join(sorted(set(owners) - {"nunatak"})) or folder.name
        return f"Uninstall it here ({sys.executable} -m pip uninstall {names}), or give nunatak a virtual environment of its own"
    return f"Move it away, or run the `nunatak` program itself: Python looks in {folder.parent} first"


def _folder_of(name: str) -> Path | None:
    spec = find_spec(name)
    if spec is None:
        return None
    if spec.origin is not None and spec.origin != "namespace":
        origin = Path(spec.origin)
        return origin.parent if origin.name == "__init__.py" else origin
    return next((Path(place) for place in spec.submodule_search_locations or ()), None)
