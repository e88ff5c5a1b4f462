"""A user's campaign on a real Slurm cluster: a site, jobfiles that keep a log of their own, and our commands as that user calls them."""

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import servers
from chaos import shared_archive
from cluster import user
from cluster.slurm_cluster import PROGRAMS, Cluster
from whole.machine import Said
from whole.run_log import Run, RunLog

#: Seconds in place of minutes. The lease is long enough to be told from what Slurm does (SlurmdTimeout, KillWait) on a busy machine.
LEASE: Mapping[str, float] = {
    "lease_s": 12.0, "margin_s": 3.0, "renew_every_s": 1.5, "beat_every_s": 0.5, "beat_fresh_s": 3.0, "reap_every_s": 0.5,
}  # fmt: skip
#: What a site has if a test does not say otherwise.
SITE: Mapping[str, Any] = {
    "provider": "slurm", "max_workers": 2, "walltime": "00:20:00", "nodes_per_block": 1, "warn_s": 60, "poll_every_s": 1.0,
    "cmd_timeout_s": 20,
}  # fmt: skip


class SlurmWorld:
    """A home on the shared filesystem, one directory of jobfiles, and the ordinary user's commands on any host."""

    def __init__(self, cluster: Cluster, *, lease: Mapping[str, float] = LEASE, worker: Mapping[str, Any] | None = None) -> None:
        self.cluster = cluster
        #: Where the user is logged in.
        self.login = "login"
        #: What every command of ours has in its environment besides; a test may put programs in front on PATH.
        self.environ: dict[str, str] = {"COLUMNS": "80"}
        self.home = cluster.home / ".nunatak"
        self.folder = cluster.home / "campaign" / "jobs"
        for folder in (self.home, self.home / "sites", self.folder.parent, self.folder):
            self.make_folder(folder)
        self.log = RunLog(cluster.home)
        for path in (self.log.path, self.log.ticker):
            own(path)
        shared_archive.lay_out(self.home / "archive")
        worker = {"idle_s": 20.0, "no_broker_idle_s": 40.0, "keep_logs": True, "log_dir": str(cluster.home / "logs")} | dict(worker or {})
        self.write_file(self.home / "config.toml", _toml({"lease": lease, "worker": worker}))

    def write_file(self, path: Path, text: str) -> Path:
        """A file of the user's."""
        path.write_text(text)
        own(path)
        return path

    def make_folder(self, path: Path) -> Path:
        """A folder of the user's."""
        path.mkdir(mode=0o700)
        own(path)
        return path

    # -- the site and the jobfiles --------------------------------------------------------------------------------------------------

    def write_site(self, name: str = "test", **keys: Any) -> str:
        """`$NUNATAK_HOME/sites/NAME.toml`; None takes a key of `SITE` out. The name, for `-f`."""
        values = {key: value for key, value in {**SITE, **keys}.items() if value is not None}
        self.write_file(self.home / "sites" / f"{name}.toml", _toml(values))
        return name

    def write(self, name: str, seconds: float, *, header: str = "", before: str = "", after: str = "", folder: Path | None = None) -> Path:
        """A jobfile that leaves signs of life in `self.log` for so long."""
        text = "\n".join(part for part in (header, self.log.text(name, seconds, before, after)) if part)
        return self.write_file((folder or self.folder) / f"qsub_{name}.sh", f"#!/bin/bash\n{text}\n")

    def write_many(self, count: int, seconds: float, *, prefix: str = "j", **more: Any) -> list[str]:
        """So many of the same kind; their names."""
        names = [f"{prefix}{number:03d}" for number in range(count)]
        for name in names:
            self.write(name, seconds, **more)
        return names

    # -- the program ----------------------------------------------------------------------------------------------------------------

    def call(self, *words: str | Path, host: str = "", timeout: float = 120.0, env: Mapping[str, str] | None = None, **more: Any) -> Said:
        """A command of ours to its end, whatever that is; where the user is logged in, or on another host."""
        done = self.cluster.nunatak(*words, host=host or self.login, timeout=timeout, env=self.environ | dict(env or {}), **more)
        return Said(code=done.returncode, out=done.stdout, err=done.stderr)

    def insist(self, *words: str | Path, host: str = "", **more: Any) -> Said:
        """A command that must end well."""
        said = self.call(*words, host=host, **more)
        assert said.code == 0, (words, said)
        return said

    def start(self, *words: str | Path, host: str = "") -> "subprocess.Popen[str]":
        """A command that stays; the test ends it."""
        argv = [PROGRAMS / "nunatak", *words]
        return self.cluster.popen(host or self.login, argv, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def enqueue(self, *words: str, folder: Path | None = None) -> Said:
        return self.insist("enqueue", folder or self.folder, *words)

    def submit(self, count: int = 1, site: str = "test", *words: str) -> list[str]:
        """Submit blocks; their ids."""
        said = self.insist("blocks", "submit", str(count), "-f", site, "--yes", *words)
        shared_archive.keep(self.home / "archive")
        return said.out.split()

    # -- what is said of it -----------------------------------------------------------------------------------------------------------

    def status(self) -> str:
        """What `nunatak status` says, without the breaks at the end of a terminal's lines."""
        return " ".join(self.insist("status").out.split())

    def jobs(self, host: str = "") -> dict[str, dict[str, Any]]:
        """Our own record of each jobfile by its short name."""
        lines = self.insist("jobs", "--json", host=host).lines
        return {Path(line["jobfile"]).name.removeprefix("qsub_").removesuffix(".sh"): line for line in lines}

    def job_values(self, names: Iterable[str], key: str) -> set[Any]:
        """What our own record says of these jobfiles under one key."""
        jobs = self.jobs()
        return {jobs[name][key] for name in names}

    def blocks(self, host: str = "") -> list[dict[str, Any]]:
        said = self.call("blocks", "list", "--json", host=host)
        assert said.code == 0, said
        return json.loads(said.out) if said.out.lstrip().startswith("[") else said.lines

    def block_states(self) -> dict[str, str]:
        return {block["block"]: block["state"] for block in self.blocks()}

    def batch_host(self, block: str) -> str:
        """Where the block's script runs, as it has written itself."""
        lines = (self.home / "blocks" / block / "started").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)["host"]

    def slurm_says(self, block: str) -> list[str]:
        """The states of what Slurm has of a block that is not over."""
        return self.cluster.squeue("-n", block, "-o", "%T")

    def slurm_jobs(self) -> list[str]:
        """"ID STATE" of what Slurm has of the user that is not over."""
        return self.cluster.squeue("-o", "%i %T", host=self.login)

    def started(self) -> set[str]:
        """The jobfiles that have said that they run, by their own log."""
        return {run.name for run in self.log.runs()}

    def ended(self) -> set[str]:
        return {run.name for run in self.log.runs() if run.ended}

    def wait_started(self, count: int, timeout_s: float = 90.0) -> list[Run]:
        """Until so many attempts have begun, by the jobfiles' own log."""
        servers.wait_until(lambda: len(self.log.runs()) >= count, timeout_s, f"{count} attempts to begin; {self.words()}")
        return self.log.runs()

    def wait_ended(self, names: list[str], timeout_s: float = 180.0) -> None:
        """Until each has come to its end, by the jobfiles' own log, and the ledger says so."""
        servers.wait_until(lambda: set(names) <= self.ended(), timeout_s, f"{set(names) - self.ended()} to end; {self.words()}")
        servers.wait_until(lambda: self.job_values(names, "state") == {"done"}, 60, "the ledger to say that all are done")

    def nodes_of(self, name: str) -> list[str]:
        """Where each attempt of a jobfile ran, in the order of their starts."""
        return [run.node for run in self.log.of(name)]

    def assert_nothing_lost_and_none_twice(self, names: list[str], *, once_more: frozenset[str] | set[str] = frozenset()) -> None:
        """By the jobfiles' own log: each ended once, no two attempts of one at once, and only those named began more than once."""
        runs = self.log.runs()
        assert {name: sum(run.ended for run in runs if run.name == name) for name in names} == dict.fromkeys(names, 1)
        assert self.log.twice_at_once() == []
        assert {name for name in names if sum(run.name == name for run in runs) > 1} <= set(once_more)

    def assert_nothing_left(self, timeout_s: float = 120.0) -> None:
        """The blocks end by themselves, and no process of the user is left on any node that is up."""

        def left() -> list[Any]:
            return [process for host in self.cluster.nodes for process in self.cluster.pids_on(host, user=user.NAME)]

        servers.wait_until(lambda: not self.slurm_jobs() and not left(), timeout_s, f"blocks to end; {self.slurm_jobs()}, {left()}")

    def finish(self, names: list[str], *, once_more: frozenset[str] | set[str] = frozenset()) -> None:
        """When all have ended: nothing was lost, nothing ran twice at once, no failure counts; and nothing is left of cancelled blocks."""
        self.assert_nothing_lost_and_none_twice(names, once_more=once_more)
        assert self.job_values(names, "failures") == {0}
        self.insist("blocks", "cancel", "all")
        self.assert_nothing_left()

    def words(self) -> str:
        """Where to look when a test has failed: what the blocks said."""
        outputs = sorted((self.home / "blocks").glob("*/*.out")) + sorted((self.home / "blocks").glob("*/*.err"))
        return "\n".join(f"{path}:\n{path.read_text(errors='replace')[-2000:]}" for path in outputs)

    def close(self) -> None:
        """Nothing but the cluster itself is left; it goes with its fixture."""
        self.call("broker", "stop", "--force")


@contextmanager
def slurm_world(cluster: Cluster, **more: Any) -> Iterator[SlurmWorld]:
    """A world on this cluster; on a failure, what its blocks said is shown."""
    world = SlurmWorld(cluster, **more)
    try:
        yield world
    except BaseException:
        print(world.words())
        raise


def own(path: Path) -> None:
    os.chown(path, user.UID, user.UID)


def _toml(values: Mapping[str, Any]) -> str:
    flat = [f"{key} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, Mapping)]
    tables = [f"[{key}]\n{_toml(value)}" for key, value in values.items() if isinstance(value, Mapping)]
    return "\n".join([*flat, *tables]) + "\n"
