"""The same for larger scenes: one jobfile to a node, blocks of 100 nodes, and the provider under a name of its own."""

import parsl
from parsl.addresses import address_by_interface
from parsl.channels.local.local import LocalChannel
from parsl.config import Config
from parsl.executors import HighThroughputExecutor

slurm = parsl.providers.SlurmProvider(
    "skx-normal",
    channel=LocalChannel(),
    account="MY-ALLOCATION",
    nodes_per_block=100,
    walltime="48:00:00",
    move_files=False,
)

large = Config(
    [HighThroughputExecutor("stampede2_htex", slurm, address=address_by_interface("em3"), max_workers=1, cores_per_worker=48)],
)
parsl.load(large)
