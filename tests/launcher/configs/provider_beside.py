"""A provider that is none of Parsl's."""

from parsl.providers import LocalProvider


class RecordingProvider(LocalProvider):
    """Remembers what it is asked for."""

    walltime = "02:00:00"
    queue = "evening"
    cores_per_node = 16

    def submit(self, command, tasks_per_node, job_name="parsl"):
        self.asked = (command, tasks_per_node, job_name)
        return "job-1"
