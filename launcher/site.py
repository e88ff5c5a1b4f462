"""A site: what one cluster's, or one machine's, blocks look like and are allowed."""

import re
from dataclasses import dataclass, field

from launcher.site_checks import NAMED_NODES, first_complaint
from launcher.site_checks import PROVIDERS as PROVIDERS
from launcher.walltime import parse_walltime

#: The fields that no site file gives.
NOT_IN_FILES = ("name", "source", "notes")
#: It stands in names of files, in keys and in what is printed.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, kw_only=True)
class Site:
    """One site file's content, checked."""

    #: The site file's name without `.toml`.
    name: str
    #: Who starts blocks: "local" starts them on this machine, "slurm" submits batch jobs, "parsl" asks the provider of a Parsl config.
    provider: str = "local"
    #: Jobfiles that run at once on one node; None: one per processor.
    max_workers: int | None = None
    #: The queue that blocks wait in; empty: the cluster's default.
    partition: str = ""
    #: Whose node-hours are used; empty: the user's default.
    account: str = ""
    #: Quality of service; empty: the default.
    qos: str = ""
    #: Features that nodes must have, in Slurm's words.
    constraint: str = ""
    #: More `#SBATCH` lines, put in the batch script as they are.
    scheduler_options: str = ""
    #: Shell lines, run once per block before anything else of it: `module load …`.
    worker_init: str = ""
    #: Shell lines, run on each node before its worker starts.
    node_init: str = ""
    #: How long a block may last, HH:MM:SS or D-HH:MM:SS; empty: until it has been idle for long enough.
    walltime: str = ""
    #: Nodes of one block.
    nodes_per_block: int = 1
    #: Processors of one node, where a node that shows fewer is to be refused; None: not known.
    cores_per_node: int | None = None

    #: Jobs of this user that may run in the partition at once, ours and others; None: no limit is known.
    max_running: int | None = None
    #: Jobs of this user that may wait or run in the partition, ours and others; None: no limit is known.
    max_submitted: int | None = None
    #: Fewest nodes of one job.
    min_nodes: int = 1
    #: Most nodes of one job; None: no limit is known.
    max_nodes: int | None = None
    #: Longest walltime; empty: no limit is known.
    max_walltime: str = ""
    #: Blocks that are submitted in an hour at most.
    submissions_per_hour: int = 20
    #: How long the scheduler is left in peace between two questions.
    poll_every_s: float = 60.0
    #: Minutes that every node of a job is charged at least.
    least_charged_min: float = 0
    #: What one node costs in an hour; 0: nothing, or not known.
    su_per_node_hour: float = 1.0
    #: Options that the site refuses or forbids, spelled in full; named nodes are forbidden at most sites.
    banned_options: tuple[str, ...] = NAMED_NODES

    #: How long before a block's end its jobfiles get USR1.
    warn_s: int = 120
    #: How long one command of the scheduler may take.
    cmd_timeout_s: float = 60.0
    #: The batch script's template: one of ours, or the absolute path of the user's own.
    block_template: str = "block_slurm.sh"
    #: The template of what runs on each node: one of ours, or the absolute path of the user's own.
    node_template: str = "node_slurm.sh"
    #: Absolute path of the Parsl config that this site was read from; empty: none.
    parsl_config: str = ""
    #: A node that has run nothing for this long leaves; None: as the settings say.
    idle_s: float | None = None
    #: Blocks to begin with.
    init_blocks: int = 0
    #: Blocks to keep while jobfiles wait.
    min_blocks: int = 0
    #: Blocks at once; None: as many as the limits allow.
    max_blocks: int | None = None
    #: Where it was read from; empty: nowhere.
    source: str = field(default="", compare=False)
    #: What whoever chose this site should be told: what was taken from where, what is obsolete.
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not is_site_name(self.name):
            raise ValueError(f"site {self.name!r}: use letters, digits, and . _ - between them")
        complaint = first_complaint({key: value for key, value in vars(self).items() if key not in NOT_IN_FILES})
        if complaint is not None:
            raise ValueError(f"site {self.name!r}: {complaint.reason}. {complaint.remedy}")

    @property
    def walltime_s(self) -> int | None:
        """The walltime in seconds; None: no limit."""
        return parse_walltime(self.walltime) if self.walltime else None

    @property
    def least_charged_s(self) -> float:
        """Seconds that every node of a block is charged at least, once it has started."""
        return self.least_charged_min * 60

    @property
    def block_su_max(self) -> float | None:
        """What one block can cost at most; None: nobody can say, for it has no walltime."""
        if not self.su_per_node_hour:
            return 0.0
        if self.walltime_s is None:
            return None
        return self.nodes_per_block * max(self.walltime_s, self.least_charged_s) / 3600 * self.su_per_node_hour


def is_site_name(text: str) -> bool:
    """Whether a site may be called so."""
    return _NAME.fullmatch(text) is not None
