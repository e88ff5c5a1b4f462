"""Remembers a job of ours that is no block of workers, in its own folder: no launcher counts it, and no broker is needed to read it."""

import json
from collections.abc import Mapping

from broker.home import Home
from broker.private import write_private
from launcher.block import Block
from launcher.blocks import block_folder

#: In the job's folder, `Home.blocks_dir / ID`.
NAME = "job.json"


class JobFile:
    """A `launcher.blocks.Recorder`."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def record_block(self, block_id: str, fields: Mapping[str, str]) -> None:
        """Keep these fields; they are on the disk when this returns. Raises OSError."""
        write_private(block_folder(self._home, block_id) / NAME, json.dumps(dict(fields), indent=1) + "\n")

    def read(self, block_id: str) -> Block | None:
        """What was recorded; None if nothing was, or it cannot be understood. Raises OSError."""
        try:
            fields = json.loads((block_folder(self._home, block_id) / NAME).read_bytes())
            return Block.from_fields(block_id, fields)
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return None
