"""Runs inside a cluster's login host: submits, watches and cancels blocks as a launcher would, with files for a ledger.

`slurm_driver.py HOME submit ID SITE_JSON COMMAND…` · `look ID…` · `cancel ID`: prints one JSON line per block, or {"error": …}.
"""

import json
import sys
from pathlib import Path

from broker.home import Home
from launcher import blocks
from launcher.block import Block
from launcher.errors import LauncherError
from launcher.site import Site


class Files:
    """A ledger of one file per block."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def record_block(self, block_id: str, fields: dict[str, str]) -> None:
        self._file(block_id).write_text(json.dumps(fields))

    def block(self, block_id: str) -> Block:
        return Block.from_fields(block_id, json.loads(self._file(block_id).read_text()))

    def _file(self, block_id: str) -> Path:
        return self._home.root / f"record-{block_id}"


def main(root: str, verb: str, *words: str) -> None:
    home = Home(Path(root))
    home.create()
    ledger = Files(home)
    if verb == "submit":
        block_id, site, *command = words
        blocks.submit(Site(**json.loads(site)), home, block_id, ledger=ledger, command=command)
        look = [block_id]
    elif verb == "cancel":
        blocks.cancel(ledger.block(words[0]), home, ledger=ledger)
        look = [words[0]]
    else:
        answer = blocks.look_all([ledger.block(block_id) for block_id in words], home, timeout_s=20)
        for block in answer.blocks:
            ledger.record_block(block.block_id, block.to_fields())
        look = list(words)
    for block_id in look:
        print(json.dumps(ledger.block(block_id).to_fields()))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except LauncherError as error:
        print(json.dumps({"error": str(error), "kind": type(error).__name__}))
