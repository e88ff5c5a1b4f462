"""The archive that a block's nodes start from: our worker and what it imports, compiled, in one file."""

from nunatak.archive.build import ensure_archive as ensure_archive
from nunatak.archive.contents import CannotArchive as CannotArchive
