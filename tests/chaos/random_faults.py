"""Carries a plan of random faults out: eight nodes on this machine, each a guard and its worker, with a broker, all real processes."""

import os
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import servers
from chaos.fault_judgement import Blow, Seen
from chaos.fault_plan import ENDS_NODE, NODES, OF_NODE, SLOTS, Fault, Kind, Plan
from redis.exceptions import RedisError
from whole.machine import Machine, Node

from broker.client import open_client
from broker.errors import BrokerError, Unreachable
from broker.private import private_dir
from broker.start import ensure_broker
from nunatak.block_file import BlockFile
from nunatak.node import Place, guard_argv, guard_settings
from nunatak.settings import load_settings

#: Seconds in place of minutes. The margin is a third: on a machine that others use too, a guard may be late by as much as a second.
LEASE = {"LEASE_S": "6", "MARGIN_S": "2", "RENEW_EVERY_S": "0.8", "BEAT_EVERY_S": "0.5", "BEAT_FRESH_S": "3", "REAP_EVERY_S": "0.5"}
#: No loss may set a jobfile aside here, and no failure may be made good by a retry: none is expected.
OTHERS = {"LEASE_MAX_LOSSES": "1000", "WORKER_HELLO_TIMEOUT_S": "14"}
_LOOK_S = 0.05
_DRAIN_S = 180.0

_TEXT = """#!/bin/bash
exec 9<> <(:)
say() {{ echo "$EPOCHREALTIME $1 {name} $NUNATAK_TOKEN $NUNATAK_ATTEMPT $$ $NUNATAK_NODE $NUNATAK_BLOCK" >> {log}; }}
say start
{escape}
for ((i = 0; i < {ticks}; i++)); do read -rt 0.1 -u 9; say tick; done
mine={name}.$NUNATAK_TOKEN
echo $NUNATAK_TOKEN > $mine
ln $mine qsub_{name}.made || say again
rm -f $mine
say end
"""


class Visitor(threading.Thread):
    """Comes by every two seconds, as commands do, and starts what is missing of the broker."""

    def __init__(self, visit: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._visit = visit
        self._over = threading.Event()
        #: Why a visit was in vain.
        self.words: list[str] = []
        self.surprises: list[str] = []

    def run(self) -> None:
        while not self._over.wait(2.0):
            try:
                self._visit()
            except BrokerError as error:
                self.words.append(str(error))
            except Exception as error:
                self.surprises.append(f"A COMMAND BROKE: {error!r}")
                raise

    def end(self) -> None:
        self._over.set()
        self.join(60)


@dataclass
class Stopped:
    """A process that stands still, until when."""

    pidfd: int
    until: float


@dataclass
class Round:
    """One plan, carried out on a machine of its own."""

    machine: Machine
    plan: Plan
    blows: list[Blow] = field(default_factory=list)
    surprises: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.machine.quicken(**{f"LEASE_{name}": value for name, value in LEASE.items()}, **OTHERS)
        self._settings = load_settings(self.machine.environ)
        self._nodes: list[Node] = []
        self._lives = Counter[int]()
        self._stopped: list[Stopped] = []
        #: Blocks whose guards were killed or told to leave.
        self._doomed: set[str] = set()

    def run(self) -> Seen:
        self._write()
        self.machine.enqueue("--retries", "0", "--done", "{stem}.made")
        visitor = Visitor(self._ensure_broker)
        visitor.start()
        try:
            self._play()
            self._heal()
            self._drain()
            self._leave()
        finally:
            visitor.end()
            self.surprises += visitor.surprises
            self._keep_logs()
        return self._look()

    def _ensure_broker(self) -> None:
        ensure_broker(self.machine.home, self._settings.server, self._settings.lease, timeout_s=10.0)

    def _write(self) -> None:
        for work in self.plan.works:
            ticks = max(1, round(work.seconds * 10))
            escape = f"setsid {self.machine.log.ticker} {work.name} {ticks + 200} &" if work.escapes else ""
            path = self.machine.folder / f"qsub_{work.name}.sh"
            path.write_text(_TEXT.format(name=work.name, log=self.machine.log.path, escape=escape, ticks=ticks))

    def _start_node(self, number: int) -> Node:
        """A life of a node: its own name, its own block. The program itself offers no option for a node's name."""
        self._lives[number] += 1
        block = BlockFile(block=f"n{number}-{self._lives[number]}", site="local", slots=SLOTS)
        place = Place(node=f"node{number}", python=sys.executable, venv=sys.prefix, log_dir=private_dir(self.machine.logs))
        argv = guard_argv(guard_settings(self._settings, block, place), place)
        return Node(block.block, self.machine.popen(program=argv), place.log_file(block.block))

    def _play(self) -> None:
        self._nodes = [self._start_node(number) for number in range(NODES)]
        servers.wait_until(lambda: self.machine.log.path.stat().st_size, 60, "the first jobfile to run")
        began = time.monotonic()
        for fault in self.plan.faults:
            self._wait(began + fault.at_s)
            self._strike(fault)

    def _wait(self, until: float) -> None:
        while time.monotonic() < until:
            self._mind()
            time.sleep(_LOOK_S)

    def _mind(self) -> None:
        """Wake what has stood still for long enough; start a node anew whose guard has gone."""
        now = time.monotonic()
        for stopped in [s for s in self._stopped if s.until <= now]:
            self._wake(stopped)
        for number, node in enumerate(self._nodes):
            code = node.process.poll()
            if code is not None:
                if node.block not in self._doomed:
                    self.surprises.append(f"ENDED BY ITSELF, with {code}: the guard of {node.block}; {node.log}")
                self._nodes[number] = self._start_node(number)

    def _wake(self, stopped: Stopped) -> None:
        self._stopped.remove(stopped)
        _signal(stopped.pidfd, signal.SIGCONT)
        os.close(stopped.pidfd)

    # -- faults ---------------------------------------------------------------------------------------------------------------------

    def _strike(self, fault: Fault) -> None:
        node = self._nodes[fault.node] if fault.kind in OF_NODE else None
        at = time.time()
        if self._cut() if fault.kind is Kind.CONNECTIONS_CUT else self._hit(fault, node):
            self.blows.append(Blow(fault=fault, at=at, block=node.block if node else ""))

    def _hit(self, fault: Fault, node: Node | None) -> bool:
        """False: there was nobody to hit."""
        pids = self._targets(fault.kind, node)
        if node is not None and fault.kind in ENDS_NODE:
            self._doomed.add(node.block)
        number = signal.SIGSTOP if fault.seconds else signal.SIGTERM if fault.kind is Kind.GUARD_TERMINATED else signal.SIGKILL
        # All of them, whatever becomes of the first.
        return any([self._send(pid, number, fault.seconds) for pid in pids])

    def _targets(self, kind: Kind, node: Node | None) -> list[int]:
        home = self.machine.home
        if node is None:
            return servers.servers(home) if kind in (Kind.SERVER_KILLED, Kind.SERVER_STOPPED) else servers.supervisors(home)
        worker = [] if node.worker is None else [node.worker]
        if kind in (Kind.WORKER_KILLED, Kind.WORKER_STOPPED):
            return worker
        # The worker first: alone it would end what its guard leaves behind.
        return [*worker, node.guard] if kind is Kind.BOTH_KILLED else [node.guard]

    def _send(self, pid: int, number: signal.Signals, seconds: float) -> bool:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        hit = _signal(pidfd, number)
        if seconds:
            self._stopped.append(Stopped(pidfd=pidfd, until=time.monotonic() + seconds))
        else:
            os.close(pidfd)
        return hit

    def _cut(self) -> bool:
        try:
            client: Any = open_client(self.machine.home, timeout_s=1.0)
            for kind in ("normal", "pubsub"):
                client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
            client.close()
        except (Unreachable, RedisError):
            return False
        return True

    # -- the end --------------------------------------------------------------------------------------------------------------------

    def _heal(self) -> None:
        for stopped in list(self._stopped):
            self._wake(stopped)

    def _drain(self) -> None:
        until = time.monotonic() + _DRAIN_S
        while time.monotonic() < until and not self._has_ended():
            self._wait(time.monotonic() + 0.5)

    def _has_ended(self) -> bool:
        try:
            return all(campaign.has_ended for campaign in self.machine.ledger().campaigns())
        except Unreachable:
            return False

    def _leave(self) -> None:
        for node in self._nodes:
            node.process.terminate()
        for node in self._nodes:
            code = node.process.wait(40)
            if code and node.block not in self._doomed:
                self.surprises.append(f"LEFT WITH {code}: the guard of {node.block}; {node.log}")

    def _keep_logs(self) -> None:
        for log in (self.machine.home.supervisor_log, self.machine.home.server_log):
            if log.exists():
                shutil.copy(log, self.machine.logs)

    def _look(self) -> Seen:
        self._ensure_broker()
        machine = self.machine
        until = time.monotonic() + 5
        while machine.processes() and time.monotonic() < until:
            time.sleep(_LOOK_S)
        (campaign,) = machine.ledger().campaigns()
        lines = [line.split() for line in machine.log.path.read_text().splitlines()]
        return Seen(
            plan=self.plan, blows=tuple(self.blows), runs=tuple(machine.log.runs()),
            blocks={words[3]: words[7] for words in lines if len(words) > 7},
            made=frozenset(path.stem.removeprefix("qsub_") for path in machine.folder.glob("*.made")),
            again=tuple(words[2] for words in lines if words[1] == "again"),
            jobs=machine.jobs(), campaign=campaign, sizes=self._sizes(),
            records=sum(path.is_file() for path in machine.home.records_dir.rglob("*")), processes=tuple(machine.processes()),
            surprises=tuple(self.surprises),
        )  # fmt: skip

    def _sizes(self) -> dict[str, int]:
        client: Any = open_client(self.machine.home)
        sizes = {
            "jobfiles": client.llen("jobfiles"),
            "leases": client.zcard("leases"),
            "tokens": client.hlen("tokens"),
            "suspects": client.zcard("suspects"),
            "returning": client.zcard("returning"),
            "unacked": client.hlen("unacked"),
        }
        client.close()
        return sizes


def _signal(pidfd: int, number: signal.Signals) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    return True
