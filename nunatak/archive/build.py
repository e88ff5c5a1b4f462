"""Builds the archive, if the present code has none, in `$NUNATAK_HOME/archive/`."""

import contextlib
import io
import logging
import os
import py_compile
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from broker.home import Home
from broker.private import private_dir, sync_dir
from nunatak.archive.contents import PROGRAM, Contents, Member, interpreter, look
from nunatak.archive.standard_library import standard_library
from nunatak.unpacked import INTERPRETER

log = logging.getLogger(__name__)

#: So many are kept: blocks that wait for their nodes name the archive that they were submitted with.
KEPT = 3
#: What stands in tracebacks as the folder of the code; there is no such folder, so nothing is looked for there.
_SHOWN_FOLDER = "/nunatak-archive"
#: Any day but the epoch, of which tar complains.
_MTIME = 1_000_000_000


def ensure_archive(home: Home) -> Path:
    """The archive of the present code, built if there is none; raises CannotArchive or OSError."""
    contents = look()
    folder = private_dir(archive_dir(home))
    path = folder / f"worker-{contents.digest}.tar.gz"
    try:
        # The last one used is the last one removed.
        os.utime(path)
    except FileNotFoundError:
        _build(contents, path)
        log.info("archive.built path=%s files=%d bytes=%d", path, len(contents.members), path.stat().st_size)
    _remove_old(folder)
    return path


def archive_dir(home: Home) -> Path:
    """Where the archives are."""
    return home.archive_dir


def _build(contents: Contents, path: Path) -> None:
    """At once: who finds the name finds the whole archive."""
    fd, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            _write(contents, file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_dir(path.parent)


def _write(contents: Contents, file: io.BufferedIOBase) -> None:
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=6) as archive, tempfile.TemporaryDirectory() as scratch:
        _add(archive, INTERPRETER, os.fsencode(interpreter() + "\n"))
        library = (Member(name=name, source=source) for name, source in standard_library())
        for member in (*contents.members, *library):
            for name, body in _compiled(member, Path(scratch) / "one.pyc"):
                _add(archive, name, body)


def _add(archive: tarfile.TarFile, name: str, body: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(body), 0o600, _MTIME
    archive.addfile(entry, io.BytesIO(body))


def _compiled(member: Member, scratch: Path) -> Iterator[tuple[str, bytes]]:
    """The member as it lies in the archive: Python as a module without its source, which is imported without a look at anything else."""
    if not member.name.endswith(".py"):
        yield member.name, member.source.read_bytes()
        return
    try:
        py_compile.compile(
            str(member.source), str(scratch), f"{_SHOWN_FOLDER}/{member.name}", doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )  # fmt: skip
    except py_compile.PyCompileError as error:
        # Libraries have files for other versions of Python; what cannot be compiled here can be imported nowhere.
        log.info("archive.left_out path=%s error=%s", member.source, error.exc_type_name)
        return
    yield "__main__.pyc" if member.name == PROGRAM else f"{member.name}c", scratch.read_bytes()


def _remove_old(folder: Path) -> None:
    archives = sorted(folder.glob("worker-*.tar.gz"), key=_last_used, reverse=True)
    for path in archives[KEPT:]:
        path.unlink(missing_ok=True)
        log.info("archive.removed path=%s", path)


def _last_used(path: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0
