"""A Parsl config with a provider of its own, which comes from a module beside it."""

from parsl import Config, HighThroughputExecutor, ThreadPoolExecutor
from provider_beside import RecordingProvider

config = Config(
    executors=[
        ThreadPoolExecutor(max_threads=2),
        HighThroughputExecutor(
            label="own",
            cores_per_worker=4,
            provider=RecordingProvider(nodes_per_block=3, max_blocks=5, channel=None),
        ),
    ]
)
