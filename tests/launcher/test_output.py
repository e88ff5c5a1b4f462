"""What is shown of a block's own output."""

from dataclasses import replace
from pathlib import Path

import pytest

from broker.home import Home
from launcher.block import Block, BlockState
from launcher.blocks import block_folder, with_last_words
from launcher.output import last_line

BLOCK = Block(
    block_id="b1", site="s", provider="slurm", campaigns=(), nodes=1, slots=1, submitted_at=1.0, state=BlockState.FAILED,
    reason="exit code 1",
)  # fmt: skip


@pytest.mark.parametrize(
    ("out", "err", "line"),
    [
        ("loading\nmodule: command not found\n", None, "module: command not found"),
        ("  module: command not found  \n\n \n", None, "module: command not found"),
        # The scheduler's own says only that something has ended.
        ("no module nunatak\nsrun: error: n1: task 0: Exited with exit code 1\nslurmstepd: error: gone\n", None, "no module nunatak"),
        ("srun: cluster configuration lacks support for cpu binding\n", None, ""),
        ("out\n", "err\n", "err"),
        ("out\n", "", "out"),
        ("", None, ""),
        ("x" * 1000, None, "x" * 300),
        ("\udcff.nc is not there\n", None, "\ufffd.nc is not there"),
    ],
)
def test_the_last_line_of_a_blocks_own_is_found(tmp_path: Path, out: str, err: str | None, line: str):
    (tmp_path / "b1.out").write_bytes(out.encode(errors="surrogateescape"))
    if err is not None:
        (tmp_path / "b1.err").write_text(err)
    assert last_line(tmp_path) == line


def test_a_block_that_failed_says_its_last_words_and_others_do_not(home: Home):
    folder = block_folder(home, "b1")
    folder.mkdir(parents=True)
    assert with_last_words(BLOCK, home) is BLOCK
    (folder / "b1.out").write_text("no module nunatak\n")
    assert with_last_words(BLOCK, home).reason == "exit code 1; it last said: no module nunatak"
    assert with_last_words(replace(BLOCK, reason=""), home).reason == "it last said: no module nunatak"
    ended = replace(BLOCK, state=BlockState.ENDED)
    assert with_last_words(ended, home) is ended


def test_output_that_cannot_be_read_spoils_no_look(home: Home):
    (block_folder(home, "b1") / "b1.out").mkdir(parents=True)
    assert with_last_words(BLOCK, home) is BLOCK
