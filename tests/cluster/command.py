"""`make cluster`: a cluster for a person to play with, and commands that break it, from another terminal.

    python -m cluster.command play                  up, a shell on the login host, and down when the shell ends
    python -m cluster.command up 4 --partition skx-normal --set SlurmdTimeout=30
    python -m cluster.command exec login -- squeue
    python -m cluster.command kill-node n2
    python -m cluster.command cut all
    python -m cluster.command down
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster import lifecycle, user
from cluster.program import ROOT
from cluster.requirements import absent
from cluster.slurm_cluster import ENTRY, Cluster
from cluster.slurm_conf import Shape

_FAULTS = {
    "kill-node": "power failure of hosts: everything on them ends, without a word to anybody",
    "start-node": "boot hosts that were killed",
    "cut": "drop all that hosts send and are sent",
    "heal": "the end of cut",
    "freeze": "stop every process of hosts",
    "thaw": "the end of freeze",
}


def folder() -> Path:
    """Where the cluster is: $NUNATAK_CLUSTER, or .cluster in the repository."""
    return Path(os.environ.get("NUNATAK_CLUSTER") or ROOT / ".cluster").absolute()


def _found() -> Cluster:
    cluster = Cluster.found(folder())
    if cluster is None:
        raise SystemExit(f"no cluster is up in {folder()}: bring one up with `up` or `play`")
    return cluster


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, words in (("play", "up, the broker, a shell on the login host; down when the shell ends"), ("up", "bring it up; it stays")):
        one = commands.add_parser(name, help=words)
        one.add_argument("nodes", type=int, nargs="?", default=4)
        one.add_argument("--cpus", type=int, default=4)
        one.add_argument("--partition", action="append", default=[], metavar="NAME[ WORDS]", help='such as "skx-normal MaxTime=02:00:00"')
        one.add_argument("--set", action="append", default=[], type=_pair, metavar="KEY=VALUE", help="a line of slurm.conf")
        if name == "play":
            one.add_argument("--flower", action="store_true", help="with the dashboard, on login2's loopback")
    commands.add_parser("down", help="end everything and remove the folder")
    commands.add_parser("status", help="hosts and what Slurm says of the nodes")
    execute = commands.add_parser("exec", help="run a command on a host, by default a shell")
    execute.add_argument("--root", action="store_true", help=f"as root, not as {user.NAME}")
    execute.add_argument("host")
    execute.add_argument("argv", nargs=argparse.REMAINDER)
    for name, words in _FAULTS.items():
        fault = commands.add_parser(name, help=words)
        fault.add_argument("hosts", nargs="+", help='"all" means all compute nodes')
        if name in ("cut", "heal"):
            fault.add_argument("--peer", help="only between this host and them")
    daemon = commands.add_parser("daemon", help="start, stop, kill, freeze or thaw slurmctld, slurmd or munged")
    daemon.add_argument("action", choices=["start", "stop", "kill", "freeze", "thaw"])
    daemon.add_argument("what", choices=["slurmctld", "slurmd", "munged"])
    daemon.add_argument("host", nargs="?", default="ctl")
    return parser


def _shape(wanted: argparse.Namespace) -> Shape:
    partitions = dict((*text.split(maxsplit=1), "")[:2] for text in wanted.partition) or {"main": ""}
    return Shape(nodes=wanted.nodes, cpus=wanted.cpus, partitions=partitions, settings=dict(wanted.set))


def _up(wanted: argparse.Namespace) -> None:
    if Cluster.found(folder()) is not None:
        raise SystemExit(f"a cluster is up in {folder()}: take it down with `down` first")
    cluster = Cluster(folder(), _shape(wanted))
    cluster.up(stays=True)
    print(f"{len(cluster.nodes)} nodes idle; hosts {', '.join(cluster.hosts)}; shared home {cluster.home}")


def _play(wanted: argparse.Namespace) -> int:
    _up(wanted)
    cluster = _found()
    try:
        cluster.leave("login", ["/bin/bash", ENTRY / "broker.sh"])
        if wanted.flower:
            cluster.leave("login2", ["/bin/bash", ENTRY / "flower.sh"])
        print(f"a broker is being started on login (log: {cluster.files('login')}/broker.out); try sinfo, then nunatak; `exit` ends it all")
        print(f"faults, from another terminal: PYTHONPATH=tests {sys.executable} -m cluster.command kill-node n2 (or cut, freeze: --help)")
        return _shell(cluster, "login", [], user.NAME)
    finally:
        cluster.down()


def _shell(cluster: Cluster, host: str, argv: Sequence[str], account: str) -> int:
    shell = ["/bin/bash", "--norc", "-i"]
    prompt = {"PS1": r"\u@\h:\w\$ ", "TERM": os.environ.get("TERM", "dumb")}
    return cluster.popen(host, argv or shell, user=account, env=prompt, terminal=True, stdin=None).wait()


def _exec(wanted: argparse.Namespace) -> int:
    argv = wanted.argv[1:] if wanted.argv[:1] == ["--"] else wanted.argv
    return _shell(_found(), wanted.host, argv, "root" if wanted.root else user.NAME)


def _status(_wanted: argparse.Namespace) -> None:
    cluster = _found()
    states = cluster.node_states()
    for host in cluster.hosts:
        up = f"up, {len(cluster.pids_on(host))} processes" if cluster.is_up(host) else "killed"
        print(f"{host:8} {up:20} {states.get(host, '')}".rstrip())


def _fault(wanted: argparse.Namespace) -> None:
    method = getattr(_found(), wanted.command.replace("-", "_"))
    more = {"peer": wanted.peer} if "peer" in wanted else {}
    try:
        method(*wanted.hosts, **more)
    except KeyError as error:
        raise SystemExit(f"no host {error}; there are {', '.join(_found().hosts)}") from error


def main() -> int:
    wanted = _parser().parse_args()
    if missing := absent():
        raise SystemExit(f"no cluster here: {missing}")
    commands: dict[str, Callable[[argparse.Namespace], int | None]] = {
        "play": _play,
        "up": _up,
        "down": lambda _wanted: lifecycle.take_down(folder()),
        "status": _status,
        "exec": _exec,
        "daemon": lambda wanted: _found().daemon(wanted.action, wanted.what, wanted.host),
    }
    return commands.get(wanted.command, _fault)(wanted) or 0


if __name__ == "__main__":
    sys.exit(main())
