"""Our Parsl launcher for Slurm, in SrunLauncher's place: it writes the part of the batch script that starts the nodes."""

import shlex
from pathlib import Path

from parsl.launchers.base import Launcher

from launcher.shipped import read_template
from launcher.template import render


class SrunNodeLauncher(Launcher):  # type: ignore[misc]  # Parsl comes without types
    """Starts the node script once on each node of the block, each by an srun of its own.

    Parsl's starts all nodes by one srun: it ends with the first node that reboots, and its bash leaves the worker unwarned.
    """

    def __init__(self, node_script: Path, block_file: Path, template: str = "nodes_slurm.sh") -> None:
        super().__init__(debug=False)
        self.node_script = node_script
        self.block_file = block_file
        self.template = template

    def __call__(self, command: str, tasks_per_node: int, nodes_per_block: int, script_dir: str = "") -> str:  # noqa: ARG002  # Parsl's
        """The launching part; the command stands in the node script."""
        if tasks_per_node != 1:
            raise ValueError(f"tasks_per_node={tasks_per_node}: use 1, a worker fills its node by itself")
        values = {"node_script": shlex.quote(str(self.node_script)), "block_file": shlex.quote(str(self.block_file))}
        return render(self.template, read_template(self.template), values)
