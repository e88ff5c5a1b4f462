"""Bringing a cluster's hosts up and taking everything away again: the effects on folder, processes, mounts and groups."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cluster import freezer, network, user
from cluster.addresses import host_names, hosts_file
from cluster.program import ENVIRONMENT, ROOT, program
from cluster.record import Record, fabrics_of, load
from cluster.reference import Reference
from cluster.slurm_conf import CGROUP_CONF, VAR, slurm_conf
from cluster.view import Bind, View, view

FABRIC = "fabric"


def home_of(folder: Path) -> Path:
    """The ordinary user's home, shared by all hosts under the name that it has on the machine."""
    return folder / "home" / user.NAME


def files_of(folder: Path, host: str) -> Path:
    """What is /run/cluster on this host: daemons' logs, spool and state."""
    return folder / "hosts" / host


def empty_home(folder: Path) -> None:
    """The folder itself stays: the hosts have mounted it."""
    for entry in os.scandir(home_of(folder)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry)
        else:
            os.unlink(entry)


def lay_out(folder: Path, record: Record) -> None:
    """The folder's files; it must not exist."""
    folder.mkdir(parents=True, mode=0o755)
    record.save(folder)
    for place in ("etc/slurm", "etc/munge", "hosts"):
        (folder / place).mkdir(parents=True)
    home = home_of(folder)
    home.mkdir(parents=True)
    os.chown(home, user.UID, user.UID)
    etc = folder / "etc"
    (etc / "munge").chmod(0o700)
    (etc / "munge" / "munge.key").write_bytes(os.urandom(128))
    (etc / "munge" / "munge.key").chmod(0o600)
    (etc / "hosts").write_text(hosts_file(record.shape.nodes))
    (etc / "passwd").write_text(user.passwd(Path("/etc/passwd").read_text(), home))
    (etc / "group").write_text(user.group(Path("/etc/group").read_text()))
    (etc / "nsswitch.conf").write_text(user.NSSWITCH)


def boot_fabric(folder: Path, record: Record, lifeline: int | None) -> Record:
    """The outermost host, which is the switch; it ends when nobody holds the other end of the lifeline any more."""
    environment = {} if lifeline is None else {"LIFELINE": str(lifeline)}
    host = _host(folder, FABRIC, View(covers={Path("/run"): "mode=755"}, binds=()))
    wanted = {"fabric": 0, "hosts": {FABRIC: host | {"is_fabric": True, "wants_freezer": record.shape.freezer}}}
    booted = _boot(folder, wanted, environment, () if lifeline is None else (lifeline,))[FABRIC]
    record = replace(record, fabric=Reference.of(booted["pid"]), freezer=booted["freezer"])
    record.save(folder)
    network.make_switch(booted["pid"])
    conf = folder / "etc" / "slurm"
    (conf / "slurm.conf").write_text(slurm_conf(record.shape, freezer=record.freezer))
    (conf / "cgroup.conf").write_text(CGROUP_CONF)
    return record


def boot_hosts(folder: Path, record: Record, names: Sequence[str]) -> Record:
    """Hosts with a cable in the switch, and nothing running on them."""
    assert record.fabric is not None
    fabric = record.fabric.pid
    seen = view([ROOT, Path(sys.prefix), Path(sys.base_prefix)], [home_of(folder)])
    hosts = {}
    for name in names:
        group = f"{freezer.group_of(folder)}/{name}" if record.freezer else ""
        own = replace(seen, binds=(*seen.binds, *_own_binds(folder, name)))
        hosts[name] = _host(folder, name, own) | {"is_fabric": False, "freezer": group}
    booted = _boot(folder, {"fabric": fabric, "hosts": hosts}, {}, ())
    record = record.with_hosts({name: Reference.of(found["pid"]) for name, found in booted.items()})
    record.save(folder)
    network.plug(fabric, {name: found["pid"] for name, found in booted.items()}, host_names(record.shape.nodes))
    return record


def _own_binds(folder: Path, name: str) -> list[Bind]:
    files = files_of(folder, name)
    files.mkdir(exist_ok=True)
    (files / "hostname").write_text(f"{name}\n")
    (files / "boot_id").write_text(f"{uuid.uuid4()}\n")
    etc = folder / "etc"
    places = {file: Path("/etc") / file for file in ("hosts", "passwd", "group", "nsswitch.conf", "slurm", "munge")}
    binds = [Bind(source=etc / file, target=target) for file, target in places.items()]
    binds.append(Bind(source=files, target=Path(VAR)))
    binds.append(Bind(source=files / "hostname", target=Path("/etc/hostname")))
    return [*binds, Bind(source=files / "boot_id", target=Path("/proc/sys/kernel/random/boot_id"))]


def _host(folder: Path, name: str, seen: View) -> dict[str, Any]:
    files = files_of(folder, name)
    files.mkdir(parents=True, exist_ok=True)
    return {"log": str(files / "init.log"), "freezer": "", **seen.as_json()}


def _boot(folder: Path, wanted: dict[str, Any], environment: dict[str, str], descriptors: Sequence[int]) -> dict[str, dict[str, Any]]:
    wanted["environment"] = {"PATH": ENVIRONMENT["PATH"], "NUNATAK_CLUSTER": str(folder)} | environment
    command, text = program("cluster.boot"), json.dumps(wanted)
    done = subprocess.run(
        command, input=text, env=ENVIRONMENT, pass_fds=descriptors, capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        raise RuntimeError(f"hosts {', '.join(wanted['hosts'])} did not start: {done.stderr.strip()}")
    booted: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return booted


def last_words(folder: Path) -> str:
    """The end of every log, for whoever wonders why a cluster did not come up."""
    logs = sorted(log for pattern in ("*.out", "*.log") for log in (folder / "hosts").glob(f"*/{pattern}"))
    return "\n".join(f"{log}: {line}" for log in logs for line in log.read_text(errors="replace").splitlines()[-3:])


def take_down(folder: Path) -> None:
    """End all processes of the cluster in this folder and remove its folder; nothing if there is none."""
    record = load(folder)
    fabrics = [record.fabric] if record and record.fabric and record.fabric.alive else fabrics_of(folder)
    for fabric in fabrics:
        end(fabric)
    if folder.exists():
        freezer.remove(folder)
    for reference in record.hosts.values() if record else ():
        reference.wait_gone()
    shutil.rmtree(folder, ignore_errors=True)


def end(first: Reference) -> None:
    """SIGKILL to the first process of a host, which takes all others of it along."""
    first.send(signal.SIGKILL)


def sweep(base: Path) -> None:
    """Take away what killed test processes have left in this folder."""
    with contextlib.suppress(FileNotFoundError):
        for folder in base.iterdir():
            if _is_abandoned(folder):
                take_down(folder)


def _is_abandoned(folder: Path) -> bool:
    record = load(folder)
    if record is not None:
        return record.abandoned
    # Without a record it is being made, in milliseconds, or its maker was killed in them.
    return time.time() - folder.stat().st_mtime > 60


def remove_empty(base: Path) -> None:
    """Remove the folder of clusters if there are none in it."""
    with contextlib.suppress(OSError):
        base.rmdir()
