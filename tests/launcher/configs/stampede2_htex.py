"""A Parsl config as it was written for Parsl 0.8, with arguments that Parsl has dropped since: two jobfiles to a node."""

from parsl.addresses import address_by_hostname
from parsl.channels import LocalChannel
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.launchers import SrunLauncher
from parsl.providers import SlurmProvider

config = Config(
    retries=3,
    executors=[
        HighThroughputExecutor(
            label="stampede2_htex",
            address=address_by_hostname(),
            suppress_failure=True,
            max_workers=2,
            heartbeat_period=60,
            provider=SlurmProvider(
                channel=LocalChannel(),
                partition="skx-normal",
                scheduler_options="#SBATCH -A MY-ALLOCATION",
                worker_init="true",
                walltime="24:00:00",
                nodes_per_block=4,
                init_blocks=1,
                min_blocks=1,
                max_blocks=8,
                cmd_timeout=60,
                launcher=SrunLauncher(overrides="--no-kill "),
            ),
        )
    ],
)
