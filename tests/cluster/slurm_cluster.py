"""A real Slurm cluster on this machine: hosts are sets of namespaces, with real slurmctld, slurmd and munged, and real faults."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal, Self

from cluster import freezer, lifecycle, network, processes, user
from cluster.addresses import CONTROLLER, LOGINS, compute_names, host_names, is_compute
from cluster.inside import Inside
from cluster.patience import wait
from cluster.processes import HostProcess
from cluster.program import ENVIRONMENT, TESTS
from cluster.record import Record, load, this_process
from cluster.reference import Reference
from cluster.slurm_conf import Shape

ENTRY = TESTS / "cluster" / "entry"
PROGRAMS = Path(sys.prefix) / "bin"
Argv = Sequence[str | Path]
Action = Literal["start", "stop", "kill", "freeze", "thaw"]
_SIGNALS = {"stop": signal.SIGTERM, "kill": signal.SIGKILL, "freeze": signal.SIGSTOP, "thaw": signal.SIGCONT}
#: What starts a daemon, here and in containers.
SCRIPTS = {"slurmctld": "controller.sh", "slurmd": "node.sh", "munged": "login.sh"}


class Cluster:
    """`with Cluster(folder, Shape(nodes=4)) as cluster:`, or `Cluster.found(folder)` for one that another process has brought up.

    Hosts: `ctl` (slurmctld), `login` and `login2`, `n1`, `n2` and so on (slurmd). "all" stands for all compute nodes.
    """

    def __init__(self, folder: Path, shape: Shape | None = None, *, record: Record | None = None) -> None:
        self.folder = folder
        self.shape = shape or Shape()
        self._record = record or Record(shape=self.shape, owner=this_process())
        self._lifeline: int | None = None

    @classmethod
    def found(cls, folder: Path) -> "Cluster | None":
        """The cluster that is up in this folder; None if there is none."""
        record = load(folder)
        if record is None or record.fabric is None or not record.fabric.alive:
            return None
        return cls(folder, record.shape, record=record)

    # -- up and down ---------------------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.down()

    def up(self, *, stays: bool = False) -> None:
        """Bring it up, all nodes idle. It ends with this process, however that ends, unless it `stays` until somebody calls `down`."""
        lifecycle.take_down(self.folder)
        self._record = Record(shape=self.shape, owner=None if stays else this_process())
        lifecycle.lay_out(self.folder, self._record)
        try:
            self._boot_all(stays)
        except BaseException as error:
            error.add_note(lifecycle.last_words(self.folder))
            self.down()
            raise

    def _boot_all(self, stays: bool) -> None:
        theirs = None
        if not stays:
            theirs, self._lifeline = os.pipe()
        try:
            self._record = lifecycle.boot_fabric(self.folder, self._record, theirs)
        finally:
            if theirs is not None:
                os.close(theirs)
        self._start_hosts(host_names(self.shape.nodes))
        self.wait_idle()

    def down(self) -> None:
        lifecycle.take_down(self.folder)
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def renew(self) -> None:
        """As freshly brought up: no job, no process of the user, an empty home. If a host or a daemon is away, it is brought up anew."""
        self.heal(*self.hosts)
        if not self._is_whole() or self.run(LOGINS[0], ["scancel", f"--user={user.NAME}"]).returncode:
            self.down()
            self.up()
            return
        for process in (process for host in self.hosts for process in self.pids_on(host, user=user.NAME)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        lifecycle.empty_home(self.folder)
        wait(lambda: not self.squeue(), 60, lambda: f"the jobs to end: {self.squeue()}")
        self.wait_idle()

    def _is_whole(self) -> bool:
        """Every host has its daemon, and nothing of root's is stopped."""
        daemons = [process for host in self.hosts for process in self.pids_on(host, user="root", name=_daemon_of(host))]
        return len(daemons) == len(self.hosts) and all(process.state in "SRDI" for process in daemons)

    # -- places --------------------------------------------------------------------------------------------------------------------------

    @property
    def home(self) -> Path:
        """The ordinary user's home: the same files under the same name on all hosts and on the machine."""
        return lifecycle.home_of(self.folder)

    @property
    def nodes(self) -> tuple[str, ...]:
        return compute_names(self.shape.nodes)

    @property
    def hosts(self) -> tuple[str, ...]:
        return host_names(self.shape.nodes)

    def files(self, host: str) -> Path:
        """A host's /run/cluster: slurmd.log or slurmctld.log, and its daemons' output."""
        return lifecycle.files_of(self.folder, host)

    # -- commands ------------------------------------------------------------------------------------------------------------------------

    def run(
        self, host: str, argv: Argv, *, user: str = user.NAME, cwd: Path | str | None = None, env: Mapping[str, str] | None = None,
        timeout: float = 60.0, check: bool = False, input: str | None = None,
    ) -> "subprocess.CompletedProcess[str]":  # fmt: skip
        """Run a command on a host to its end, with the environment of a login and `env`."""
        command = self._command(host, argv, user=user, cwd=cwd, env=env)
        done = subprocess.run(
            command, env=ENVIRONMENT, input=input, stdin=subprocess.DEVNULL if input is None else None, capture_output=True, text=True,
            errors="surrogateescape", timeout=timeout, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"{argv!r} on {host} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def popen(
        self, host: str, argv: Argv, *, user: str = user.NAME, cwd: Path | str | None = None, env: Mapping[str, str] | None = None,
        terminal: bool = False, stdin: IO[Any] | int | None = subprocess.DEVNULL, **more: Any,
    ) -> "subprocess.Popen[Any]":  # fmt: skip
        """Start a command on a host. Signals that are sent to it reach the command; a SIGKILL kills it as well."""
        command = self._command(host, argv, user=user, cwd=cwd, env=env, terminal=terminal)
        return subprocess.Popen(command, env=ENVIRONMENT, stdin=stdin, **more)

    def nunatak(self, *arguments: str | Path, host: str = LOGINS[0], **more: Any) -> "subprocess.CompletedProcess[str]":
        """Run our program as the ordinary user; `more` as for `run`."""
        return self.run(host, [PROGRAMS / "nunatak", *arguments], **more)

    def leave(self, host: str, argv: Argv, *, user: str = user.NAME, log: Path | None = None) -> None:
        """Start a command that stays on the host, whatever becomes of this process."""
        self._leave({host: argv}, user=user, log=log)

    def _command(self, host: str, argv: Argv, **more: Any) -> list[str]:
        return Inside(argv=argv, home=self.home, programs=PROGRAMS, **more).command(self._host(host), self._record.freezer)

    def _leave(self, commands: Mapping[str, Argv], *, user: str, log: Path | None = None) -> None:
        """On several hosts at once."""
        started = []
        for host, argv in commands.items():
            with (log or self.files(host) / f"{Path(argv[-1]).stem}.out").open("ab") as out:
                command = self._command(host, argv, user=user, detached=True)
                started.append(subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=out, stderr=out))
        failed = [process.args for process in started if process.wait(60)]
        if failed:
            raise RuntimeError(f"could not be started: {failed}")

    # -- processes -----------------------------------------------------------------------------------------------------------------------

    def pids_on(self, host: str, *, user: str | None = None, name: str | None = None, word: str | None = None) -> tuple[HostProcess, ...]:
        """The processes on a host but the first: of a user, with this short name, with `word` in an argument. () if the host is down."""
        reference = self._record.hosts[host]
        if not reference.alive:
            return ()
        found = processes.on_host(reference.pid)
        return tuple(process for process in found if process.matches(user, name, word))

    def _host(self, host: str) -> Reference:
        reference = self._record.hosts.get(host)
        if reference is None or not reference.alive:
            raise LookupError(f"host {host} is not up; there are {', '.join(self._record.hosts)}")
        return reference

    def is_up(self, host: str) -> bool:
        return self._record.hosts[host].alive

    def _wait_for_processes(self, host: str, name: str) -> None:
        wait(lambda: self.pids_on(host, name=name), 60, lambda: f"{name} on {host}; see {self.files(host)}")

    def _expand(self, hosts: Sequence[str]) -> list[str]:
        return [one for host in hosts for one in (self.nodes if host == "all" else (host,))]

    # -- faults --------------------------------------------------------------------------------------------------------------------------

    def kill_node(self, *hosts: str) -> None:
        """As a power failure, of any host: first no frame leaves it any more, then all of its processes are killed."""
        names = self._expand(hosts)
        references = [self._record.hosts[host] for host in names]
        network.cut(self._fabric, names)
        for reference in references:
            lifecycle.end(reference)
        for host, reference in zip(names, references, strict=True):
            # What is frozen does not die before it is thawed.
            with contextlib.suppress(OSError):
                self._thaw(host)
            reference.wait_gone()

    def start_node(self, *hosts: str) -> None:
        """Boot hosts that were killed: new kernel state and boot id, empty /tmp and /dev/shm, a cable that is whole; then their daemons."""
        names = [host for host in self._expand(hosts) if not self.is_up(host)]
        for host in names:
            freezer.remove(self.folder, host)
        self._start_hosts(names)

    def cut(self, *hosts: str, peer: str | None = None) -> None:
        """Drop all that they send and are sent, without a word to anybody; with `peer`, only between that host and them."""
        self._cables(hosts, peer, network.cut, network.cut_pair)

    def heal(self, *hosts: str, peer: str | None = None) -> None:
        self._cables(hosts, peer, network.heal, network.heal_pair)

    def _cables(self, hosts: Sequence[str], peer: str | None, whole: Callable[..., None], pair: Callable[..., None]) -> None:
        names = self._expand(hosts)
        if peer is None:
            whole(self._fabric, names)
        else:
            for host in names:
                pair({name: self._host(name).pid for name in (host, peer)}, host, peer)

    def freeze(self, *hosts: str) -> None:
        """Stop every process, as when a machine hangs: its kernel still acknowledges what is sent to it."""
        for host in self._expand(hosts):
            if self._record.freezer:
                freezer.set_state(self._host(host).pid, "FROZEN")
            else:
                self._stopped(host).write_text(json.dumps(processes.stop_all(self._host(host).pid)))

    def thaw(self, *hosts: str) -> None:
        """Those that somebody else had stopped before stay so."""
        for host in self._expand(hosts):
            self._thaw(host)

    def _thaw(self, host: str) -> None:
        reference = self._record.hosts[host]
        if self._record.freezer and reference.alive:
            freezer.set_state(reference.pid, "THAWED")
        with contextlib.suppress(FileNotFoundError):
            processes.continue_all(reference.pid, json.loads(self._stopped(host).read_text()))
            self._stopped(host).unlink()

    def _stopped(self, host: str) -> Path:
        """The processes that `freeze` has stopped, where there is no freezer."""
        return self.files(host) / "stopped"

    @property
    def _fabric(self) -> int:
        assert self._record.fabric is not None
        return self._record.fabric.pid

    # -- daemons and Slurm -----------------------------------------------------------------------------------------------------------

    def daemon(self, action: Action, what: str, host: str = CONTROLLER) -> None:
        """Start, stop (SIGTERM), kill, freeze or thaw slurmctld, slurmd or munged on a host, and wait until it is so.

        Started slurmctld and slurmd are waited for until they answer: `scontrol ping`, and a node in a state that takes jobs.
        """
        if action == "start":
            self._start_daemons({host: what})
            return
        for process in self.pids_on(host, name=what):
            os.kill(process.pid, _SIGNALS[action])
        if action in ("stop", "kill"):
            wait(lambda: not self.pids_on(host, name=what), 30, lambda: f"{what} on {host} to end")

    def _start_hosts(self, names: Sequence[str]) -> None:
        self._record = lifecycle.boot_hosts(self.folder, self._record, names)
        self._start_daemons({host: _daemon_of(host) for host in names})

    def _start_daemons(self, daemons: Mapping[str, str]) -> None:
        absent = {host: what for host, what in daemons.items() if not self.pids_on(host, name=what)}
        self._leave({host: ["/bin/bash", ENTRY / SCRIPTS[what]] for host, what in absent.items()}, user="root")
        for host, what in absent.items():
            if what == "slurmctld":
                wait(self._controller_answers, 60, lambda: f"slurmctld; see {self.files(CONTROLLER)}")
            else:
                self._wait_for_processes(host, what)

    def _controller_answers(self) -> bool:
        return self.run(CONTROLLER, ["scontrol", "ping"], user="root").returncode == 0

    def node_states(self) -> dict[str, str]:
        """What sinfo says of each node ("idle", "allocated", "down*"); empty if it says nothing."""
        answer = self.run(CONTROLLER, ["sinfo", "-h", "-N", "-o", "%N %T"], user="root")
        return dict(line.split(maxsplit=1) for line in answer.stdout.splitlines())

    def wait_idle(self, *hosts: str, timeout: float = 60.0) -> None:
        """Until these nodes, or all, are idle as Slurm sees it."""
        wanted = dict.fromkeys(self._expand(hosts or ("all",)), "idle")
        wait(lambda: wanted.items() <= self.node_states().items(), timeout, lambda: f"idle nodes; they are {self.node_states()}")

    def squeue(self, *arguments: str, host: str = LOGINS[0]) -> list[str]:
        """The lines of `squeue -h` with these arguments."""
        return self.run(host, ["squeue", "-h", *arguments], check=True).stdout.splitlines()


def _daemon_of(host: str) -> str:
    """What runs on a host of this kind."""
    if is_compute(host):
        return "slurmd"
    return "slurmctld" if host == CONTROLLER else "munged"
