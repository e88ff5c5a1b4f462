"""Our Parsl launcher: it writes the part of a block's script that runs on each node."""

from parsl.launchers.base import Launcher

from launcher.shipped import read_template
from launcher.template import render


class NodeLauncher(Launcher):  # type: ignore[misc]  # Parsl comes without types
    """Starts one worker per node, in the shell's place.

    `exec`, because Slurm signals only the task itself and never its children: with a shell between, the worker is killed unwarned
    (Slurm 22.05 with Parsl's SrunLauncher: SIGKILL 0.1 s after the shell's end).
    """

    def __init__(self, node_init: str = "", template: str = "node.sh") -> None:
        super().__init__(debug=False)
        self.node_init = node_init
        self.template = template

    def __call__(self, command: str, tasks_per_node: int, nodes_per_block: int, script_dir: str = "") -> str:  # noqa: ARG002  # Parsl's
        """The node part; one command per node, however many jobfiles it runs at once."""
        if tasks_per_node != 1:
            raise ValueError(f"tasks_per_node={tasks_per_node}: use 1, a worker fills its node by itself")
        return render(self.template, read_template(self.template), {"node_init": self.node_init, "command": command})
