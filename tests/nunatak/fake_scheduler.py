"""Programs called as Slurm's are, with a queue in a file: they take blocks, tell of them, and fail when a test says so."""

import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path

from nunatak.session import Broker

_HEADER = "<nunatak|JOBID|STATE|REASON|PARTITION|START_TIME|END_TIME|NAME|nunatak>"
_SBATCH = r"""
until mkdir {jobs}/.lock 2>/dev/null; do sleep 0.01; done
id=$((1000 + $(cat {jobs}/.count 2>/dev/null || echo 0))); echo $((id - 999)) > {jobs}/.count
name=$(grep -m1 -- '--job-name' "${{@: -1}}" | sed 's/.*=//')
printf 'PENDING|Priority|main|N/A|N/A' > {jobs}/$id.new; echo "$name" > {jobs}/$id.name; mv {jobs}/$id.new {jobs}/$id
rmdir {jobs}/.lock
echo "Submitted batch job $id"
"""
_SQUEUE = r"""
echo '{header}'
for file in {jobs}/*; do
  id=${{file##*/}}; case $id in *.*|\*) continue ;; esac
  echo "<nunatak|$id|$(cat "$file")|$(cat "$file.name")|nunatak>"
done
"""
_SCANCEL = r"""
for id in "$@"; do [ -f {jobs}/$id ] && printf 'CANCELLED|None|main|N/A|%s' "$(date +%s)" > {jobs}/$id; done; true
"""


class FakeScheduler:
    """Slurm's commands in a folder that stands first on PATH, and the jobs that they know."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.jobs = folder / "fake-bin", folder / "fake-jobs"
        self.folder.mkdir()
        self.jobs.mkdir()
        self.heal()

    def heal(self) -> None:
        """All work."""
        for name, text in (("sbatch", _SBATCH), ("squeue", _SQUEUE), ("scancel", _SCANCEL)):
            self.write(name, text.format(jobs=self.jobs, header=_HEADER))
        self.write("scontrol", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1")

    def write(self, name: str, text: str) -> None:
        """What a command does from now on; each call of it is noted."""
        file = self.folder / f"{name}.new"
        file.write_text(f'#!/bin/bash\necho "$*" >> {self.folder}/{name}.calls\n{text}\n')
        file.chmod(0o755)
        # One that runs keeps its own text.
        file.rename(self.folder / name)

    def calls(self, name: str) -> int:
        """How often it was called."""
        file = self.folder / f"{name}.calls"
        return len(file.read_text().splitlines()) if file.exists() else 0

    @property
    def ids(self) -> list[str]:
        return sorted(file.name for file in self.jobs.iterdir() if file.name.isdigit())

    def tell(self, job_id: str, state: str, reason: str = "None", started_s_ago: float | None = None, ended: bool = False) -> None:
        """From now on squeue says this of the job."""
        start = "N/A" if started_s_ago is None else f"{time.time() - started_s_ago:.0f}"
        end = f"{time.time():.0f}" if ended else "N/A"
        (self.jobs / job_id).write_text(f"{state}|{reason}|main|{start}|{end}")

    def forget(self, job_id: str) -> None:
        """It is not in squeue's answer any more."""
        (self.jobs / job_id).unlink()

    def add_others(self, count: int) -> Iterator[str]:
        """Jobs of the same user that are not ours."""
        for number in itertools.islice(itertools.count(), count):
            job_id = str(5000 + number)
            (self.jobs / f"{job_id}.name").write_text("interactive\n")
            self.tell(job_id, "RUNNING", started_s_ago=60)
            yield job_id

    def block_of(self, job_id: str) -> str:
        """The name that sbatch was told."""
        return re.sub(r"\s", "", (self.jobs / f"{job_id}.name").read_text())


def forget_everything(broker: Broker) -> None:
    """Blocks, wishes, campaigns: the next test begins as on a new home."""
    for pattern in ("block*", "site*", "campaign*", "lane*", "job:*", "counts*", "workers", "leases", "tokens", "director*"):
        for key in broker.client.scan_iter(pattern):
            broker.client.delete(key)
