"""The text of a Slurm block's two scripts, from our templates or the user's own. Pure but for reading the templates."""

import re
import shlex
from pathlib import Path

from launcher.errors import SubmitFailed
from launcher.order import Order
from launcher.shipped import read_template
from launcher.site import Site
from launcher.slurm_files import output_file
from launcher.template import render
from launcher.walltime import walltime_text


def block_script(site: Site, block_id: str, folder: Path, node_part: str) -> str:
    """What sbatch is given; `node_part` is the launcher's."""
    values = {
        "block_id": block_id,
        "site": site.name,
        "options": "\n".join(options(site, block_id, folder)),
        "folder": shlex.quote(str(folder)),
        "walltime_s": "" if site.walltime_s is None else str(site.walltime_s),
        "worker_init": site.worker_init,
        "node_part": node_part,
    }
    return render(site.block_template, read_template(site.block_template), values)


def node_script(site: Site, block_id: str, order: Order) -> str:
    """What each node runs."""
    values = {
        "block_id": block_id,
        "node_init": site.node_init,
        "walltime_s": "" if site.walltime_s is None else str(site.walltime_s),
        "archive": shlex.quote(str(order.archive)) if order.archive else "",
        "command": shlex.join(order.command),
        "home": shlex.quote(str(order.home)),
    }
    return render(site.node_template, read_template(site.node_template), values)


def options(site: Site, block_id: str, folder: Path) -> list[str]:
    """The `#SBATCH` lines. The two that keep a block alive when a node dies come first, the user's own last.

    --no-kill: the block shrinks to the nodes that live. --no-requeue: Slurm would start it again under the same number. --exclusive:
    a node is wholly ours. --signal without B: goes to the nodes' guards and not to the script.
    """
    asked = {
        "--job-name": block_id,
        "--output": _file_pattern(output_file(folder, block_id)),
        "--nodes": str(site.nodes_per_block),
        "--ntasks-per-node": "1",
        "--time": walltime_text(site.walltime_s) if site.walltime_s is not None else "",
        "--partition": site.partition,
        "--account": site.account,
        "--qos": site.qos,
        "--constraint": quote(site.constraint),
        "--signal": f"USR1@{site.warn_s}" if site.warn_s else "",
    }
    ours = ["#SBATCH --no-kill", "#SBATCH --no-requeue", "#SBATCH --exclusive"]
    valued = [f"#SBATCH {name}={value}" for name, value in asked.items() if value]
    return [*ours, *valued, *site.scheduler_options.splitlines()]


def quote(text: str) -> str:
    """As one word of an `#SBATCH` line, which knows double quotes, and backslashes only within them (seen: 22.05)."""
    return text if re.fullmatch(r"[\w/.,:@+=-]*", text, flags=re.ASCII) else '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _file_pattern(file: Path) -> str:
    """Slurm replaces %-words in it (and %% too: 22.05), and takes a backslash for a sign that there are none."""
    text = str(file)
    if found := re.search(r"[\n\\%]", text):
        what = f"the folder {text!r} has {found[0]!r} in its name, which sbatch does not take"
        raise SubmitFailed(f"{what}; set NUNATAK_HOME to one without", refused=True)
    return quote(text)
