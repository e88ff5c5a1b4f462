"""Which modules of the roof a node needs: what `nunatak worker` imports, read from the source without running it.

The rest is for people at a terminal, changes most, and would only make every node's start larger.
"""

import ast
from collections.abc import Iterator
from pathlib import Path


def needed(root: Path, entries: tuple[str, ...], top: str = "nunatak") -> set[Path]:
    """The files of `entries` and of every module under `top` that they import, one after the other, wherever in a file that stands."""
    found: set[Path] = set()
    wanted = list(entries)
    while wanted:
        for file in _files(root, wanted.pop()):
            if file not in found:
                found.add(file)
                wanted += [name for name in _imports(file) if name.split(".")[0] == top]
    return found


def _files(root: Path, module: str) -> Iterator[Path]:
    """A module's file, and those of the packages that it is in; nothing for the name of a thing in a module."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        path = root.joinpath(*parts[:depth])
        yield from (file for file in (path.with_name(f"{path.name}.py"), path / "__init__.py") if file.is_file())


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # What is imported from a package may be a module of it.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
