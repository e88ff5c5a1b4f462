"""The text of slurm.conf: a pure function of the cluster's shape.

The folders in it are the same on every host; what stands there is each host's own (host.py), or the container's.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cluster.addresses import CONTROLLER, address, compute_names

#: Where a host keeps its daemons' files. On a node that reboots they are still there.
VAR = "/run/cluster"
CGROUP_CONF = """\
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
CgroupAutomount=no
ConstrainCores=no
ConstrainRAMSpace=no
ConstrainDevices=no
ConstrainSwapSpace=no
"""
_KEYS = {
    "ClusterName": "nunatak",
    "SlurmUser": "root",
    "SlurmdUser": "root",
    "AuthType": "auth/munge",
    "CredType": "cred/munge",
    "SlurmctldPort": "6817",
    "SlurmdPort": "6818",
    "SrunPortRange": "60001-63000",
    "StateSaveLocation": f"{VAR}/state",
    "SlurmdSpoolDir": f"{VAR}/spool",
    "SlurmctldPidFile": "/run/slurmctld.pid",
    "SlurmdPidFile": "/run/slurmd.pid",
    "SlurmctldLogFile": f"{VAR}/slurmctld.log",
    "SlurmdLogFile": f"{VAR}/slurmd.log",
    "SlurmctldDebug": "verbose",
    "SlurmdDebug": "verbose",
    "LogTimeFormat": "iso8601_ms",
    "TaskPlugin": "task/none",
    "JobAcctGatherType": "jobacct_gather/none",
    "MpiDefault": "none",
    "JobContainerType": "job_container/none",
    "SwitchType": "switch/none",
    # A node may have more processors and memory than the machine.
    "SlurmdParameters": "config_overrides",
    "SelectType": "select/cons_tres",
    "SelectTypeParameters": "CR_Core",
    "SchedulerType": "sched/backfill",
    "SchedulerParameters": "bf_interval=2,sched_interval=2,batch_sched_delay=0",
    "PriorityType": "priority/basic",
    # A node that comes back is used again, whatever the reason it was down.
    "ReturnToService": "2",
    "SlurmdTimeout": "20",
    "SlurmctldTimeout": "20",
    "MessageTimeout": "5",
    "KillWait": "10",
    "OverTimeLimit": "0",
    "InactiveLimit": "0",
    "UnkillableStepTimeout": "30",
    "MinJobAge": "300",
    "CompleteWait": "0",
    "BatchStartTimeout": "10",
    "JobRequeue": "1",
    "AccountingStorageType": "accounting_storage/none",
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What kind of cluster it is."""

    nodes: int = 4
    #: Processors and memory that Slurm believes each node to have.
    cpus: int = 4
    memory_mb: int = 4000
    #: Partition name -> further words of its line ("MaxTime=02:00:00 Nodes=n[1-2]"). It has all nodes if none are named; the first is the
    #: default.
    partitions: Mapping[str, str] = field(default_factory=lambda: {"main": ""})
    #: Keys of slurm.conf that replace or add to ours.
    settings: Mapping[str, str] = field(default_factory=dict)
    #: Whether to use the freezer of cgroup v1 where the kernel has it: then proctrack/cgroup, as real clusters have.
    freezer: bool = True


def slurm_conf(shape: Shape, *, freezer: bool, addresses: bool = True) -> str:
    """`freezer`: whether there is one; `addresses`: of addresses.py, or left to the names."""
    keys = {"SlurmctldHost": f"{CONTROLLER}({address(CONTROLLER)})" if addresses else CONTROLLER}
    keys |= _KEYS | {"ProctrackType": "proctrack/cgroup" if freezer else "proctrack/linuxproc"} | dict(shape.settings)
    nodes = [_node(name, shape, address(name) if addresses else name) for name in compute_names(shape.nodes)]
    parts = [_partition(name, words, shape.nodes, number == 0) for number, (name, words) in enumerate(shape.partitions.items())]
    return "\n".join([*(f"{key}={value}" for key, value in keys.items()), *nodes, *parts]) + "\n"


def _node(name: str, shape: Shape, place: str) -> str:
    return f"NodeName={name} NodeHostname={name} NodeAddr={place} CPUs={shape.cpus} RealMemory={shape.memory_mb} State=UNKNOWN"


def _partition(name: str, words: str, nodes: int, default: bool) -> str:
    given = {word.partition("=")[0] for word in words.split()}
    places = "" if "Nodes" in given else f" Nodes=n[1-{nodes}]"
    limit = "" if "MaxTime" in given else " MaxTime=INFINITE"
    return f"PartitionName={name}{places} State=UP{' Default=YES' if default else ''}{limit} {words}".rstrip()


def main() -> None:
    """For containers: their hosts are found by name, and have no cgroup of their own to hand on."""
    parser = argparse.ArgumentParser(prog="python -m cluster.slurm_conf", description="Writes slurm.conf and cgroup.conf for containers.")
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    wanted = parser.parse_args()
    (wanted.folder / "slurm.conf").write_text(slurm_conf(Shape(nodes=wanted.nodes), freezer=False, addresses=False))
    (wanted.folder / "cgroup.conf").write_text(CGROUP_CONF)


if __name__ == "__main__":
    main()
