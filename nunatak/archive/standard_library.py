"""The part of Python's own library that a node imports: with it in the archive, a start asks a shared filesystem for little else.

Only a saving: what is not in it is imported from the interpreter's own library as ever, compiled modules in C among it.
"""

import json
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

#: In the archive; the program puts it before the interpreter's own.
FOLDER = "stdlib"
#: What the three programs of a node import.
_PROGRAMS = (
    "tasks.worker", "celery.apps.worker", "celery.concurrency.thread", "kombu.asynchronous", "nunatak.cli.worker", "tasks.guard.__main__",
)  # fmt: skip
_ASK = "import json, sys; import {}; print(json.dumps([m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)]))"
#: Imported before anything of ours could be found, or not at all.
_NOT_HERE = frozenset({"encodings", "site", "sitecustomize", "usercustomize", "site-packages", "dist-packages", "lib-dynload"})
_NOT_RUN = frozenset({"__pycache__", "test", "tests"})


def standard_library() -> Iterator[tuple[str, Path]]:
    """(name in the archive, file) of each module; of a package that is needed, all: Python does not look for parts of it elsewhere."""
    root = Path(sysconfig.get_path("stdlib"))
    for top in sorted(_tops(root)):
        path = root / top
        for file in [path] if path.suffix == ".py" else sorted(path.rglob("*.py")):
            if not _NOT_RUN.intersection(file.relative_to(root).parts):
                yield f"{FOLDER}/{file.relative_to(root).as_posix()}", file


def _tops(root: Path) -> set[str]:
    """The files and folders directly in the library that hold something imported."""
    parts = (Path(file).relative_to(root).parts for file in _imported() if Path(file).is_relative_to(root) and file.endswith(".py"))
    return {first for first, *_ in parts if first not in _NOT_HERE and Path(first).stem not in _NOT_HERE}


def _imported() -> list[str]:
    """Every file of a module that is there once the programs are."""
    asked = subprocess.run(
        [sys.executable, "-I", "-c", _ASK.format(", ".join(_PROGRAMS))], stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    files: list[str] = json.loads(asked.stdout)
    return files
