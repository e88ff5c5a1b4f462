"""A block's nodes on a real Slurm: what each reads of ours from the shared filesystem, and what is left on it."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import servers
from cluster.fixtures import new_cluster  # noqa: F401
from cluster.slurm_cluster import Cluster
from cluster.user import UID

ROOT = Path(__file__).parent.parent.parent
OPENED = re.compile(r'\bopen(?:at)?\([^"]*"([^"]+)"')
#: In the home: what changes while a node runs.
STATE = re.compile(r"(address\.json|password|heartbeat/.*|records/.*)")
SUBMIT = """
import sys
from broker.client import open_client
from broker.ledger import Ledger
from launcher import blocks
from launcher.site import Site
from nunatak.archive import ensure_archive
from nunatak.block_file import block_file_of, write_block_file
from nunatak.settings import load_settings

settings = load_settings()
site = Site(name="test", provider="slurm", max_workers=2, walltime="00:10:00", nodes_per_block=2, idle_s=1.0, least_charged_min=0.2)
block = blocks.new_block_id()
write_block_file(settings.home, block_file_of(site, block, settings))
ledger = Ledger(open_client(settings.home))
print(blocks.submit(site, settings.home, block, ledger=ledger, archive=ensure_archive(settings.home)).job_id)
"""


def _write_jobfiles(cluster: Cluster, number: int) -> Path:
    folder = cluster.home / "jobfiles"
    folder.mkdir()
    for index in range(number):
        (folder / f"qsub_{index}.sh").write_text("#!/bin/bash\nsleep 1\nenv\n")
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, UID)
    return folder


@contextmanager
def _traced(cluster: Cluster, host: str, trace: Path) -> Iterator[None]:
    """Everything that is started through a node's slurmd."""
    slurmd = next(process.pid for process in cluster.pids_on(host, user="root", name="slurmd"))
    words = ["strace", "-f", "-e", "trace=%file", "-o", str(trace), "-p", str(slurmd)]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        assert "attached" in strace.stderr.readline()
        try:
            yield
        finally:
            strace.send_signal(signal.SIGINT)


def _opened(trace: Path) -> list[str]:
    lines = trace.read_text(errors="replace").splitlines()
    return [found[1] for line in lines if "= -1 " not in line and (found := OPENED.search(line))]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_each_node_of_a_block_reads_one_file_of_ours_and_keeps_none(new_cluster: Callable[..., Cluster], tmp_path: Path):  # noqa: F811
    if shutil.which("strace") is None:
        servers.missing("strace, to see which files a node opens: apt-get install strace")
    cluster = new_cluster(nodes=2)
    jobfiles = _write_jobfiles(cluster, 4)
    cluster.nunatak("broker", "start", "--bind", "all", host="login", check=True)
    cluster.nunatak("enqueue", str(jobfiles), host="login", check=True)
    trace = tmp_path / "trace"
    # The second node: the first one runs the block's script as well.
    with _traced(cluster, "n2", trace):
        began = time.time()
        cluster.run("login", [sys.executable, "-I", "-c", SUBMIT], check=True)
        servers.wait_until(lambda: cluster.squeue("-h", "-t", "all", "-o", "%T") == ["COMPLETED"], 120, "the block to end by itself")
    assert time.time() - began >= 12, "what is charged at least was used"
    assert "4 of 4 done" in cluster.nunatak("status", host="login", check=True).stdout
    opened = _opened(trace)
    home = cluster.home / ".nunatak"
    ours = [path for path in opened if path.startswith((f"{ROOT}/", f"{home}/"))]
    read = [path.removeprefix(f"{home}/") for path in ours if not STATE.fullmatch(path.removeprefix(f"{home}/"))]
    assert len(read) == 1, read
    assert re.fullmatch(r"archive/worker-[0-9a-f]+\.tar\.gz", read[0])
    assert not [path for path in opened if re.search("parsl|flower|site-packages", path)]
    assert sum("celery/" in path for path in opened) > 20, "the worker was there"
    for host in ("n1", "n2"):
        left = cluster.run(host, ["bash", "-c", "ls -d /dev/shm/nunatak-* /tmp/nunatak.* 2> /dev/null; true"], check=True).stdout
        assert left == ""
    environ = dict(line.split("=", 1) for line in (jobfiles / "qsub_0.sh.out").read_text().splitlines() if "=" in line)
    assert {"NUNATAK_BLOCK_ENDS", "NUNATAK_BLOCK_STARTED", "NUNATAK_BLOCK_FILE", "NUNATAK_NODE_SCRIPT", "VIRTUAL_ENV"}.isdisjoint(environ)
    assert float(environ["NUNATAK_DEADLINE"]) < began + 600
