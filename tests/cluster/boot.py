"""Starts hosts: a program of its own, which becomes the first process of each.

    python -S -P -m cluster.boot < specification.json > numbers.json

It is not done in the test's process, because that has threads, and entering another mount namespace is for a process that has none.
"""

import array
import contextlib
import json
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Any, NoReturn

from cluster import namespaces
from cluster.namespaces import BIND, NODEV, NOEXEC, NOSUID, PRIVATE, RDONLY, REC, REMOUNT, mount

#: Where the fabric has the freezer of the whole machine, and every host its own part of it.
FREEZER = Path("/run/freezer")
HOST_FREEZER = Path("/sys/fs/cgroup/freezer")
#: bash takes in every orphan that the kernel hands to the first process. It ends when nobody holds the other end of the lifeline any more.
INIT = "trap '' TERM INT HUP; read -r -u \"$LIFELINE\" _; exit"


def _boot(name: str, fabric: int, host: dict[str, Any], environment: dict[str, str]) -> tuple[int, bool]:
    """The first process's number on the machine, and whether it has a freezer.

    It sends one message, and the kernel adds the sender's number, translated into our own process namespace.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ours.settimeout(20)
    child = os.fork()
    if child == 0:
        _go(name, fabric, host, environment, theirs)
    theirs.close()
    os.waitpid(child, 0)
    said, extra, _flags, _address = ours.recvmsg(4096, socket.CMSG_SPACE(struct.calcsize("3i")))
    if said not in (b"up", b"up without freezer"):
        raise SystemExit(f"host {name} did not start: {said.decode() or 'no answer'}")
    numbers = array.array("i", next(data for _level, kind, data in extra if kind == socket.SCM_CREDENTIALS)[:12])
    return numbers[0], said == b"up"


def _go(name: str, fabric: int, host: dict[str, Any], environment: dict[str, str], report: socket.socket) -> NoReturn:
    """Become the first process of a host; what goes wrong is reported."""
    try:
        os.setsid()
        if fabric:
            # A new process namespace is a child of the one in which its maker was born, hence the fork between.
            namespaces.enter(fabric, "mnt", "pid")
            if os.fork():
                os._exit(0)
        namespaces.unshare(*namespaces.CLONE)
        if os.fork():
            os._exit(0)
        has_freezer = _furnish(name, host)
        report.send(b"up" if has_freezer else b"up without freezer")
        os.execve("/bin/bash", [f"init[{name}]", "-c", INIT], {"LIFELINE": _own_lifeline()} | environment)
    except BaseException as error:  # noqa: BLE001 - the top of a process: whatever it is, the one that waits is told
        with contextlib.suppress(OSError):
            report.send(f"{type(error).__name__}: {error}".encode())
    finally:
        os._exit(1)


def _own_lifeline() -> str:
    """Of a host that nobody else is to end: it holds both ends."""
    ends = os.pipe()
    for end in ends:
        os.set_inheritable(end, True)
    return str(ends[0])


def _furnish(name: str, host: dict[str, Any]) -> bool:
    """Name, files and freezer of a host, seen from inside; whether there is a freezer."""
    log = os.open(host["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, target)
    os.chdir("/")
    socket.sethostname(name)
    mount("none", "/", None, REC | PRIVATE)
    mount("proc", "/proc", "proc", NOSUID | NODEV | NOEXEC)
    own_freezer = _join_freezer(host["freezer"])
    sources = [os.open(source, os.O_PATH) for source, _target, _read_only in host["binds"]]
    for place, options in host["covers"].items():
        mount("tmpfs", place, "tmpfs", NOSUID | NODEV, options)
    for source, (_source, target, read_only) in zip(sources, host["binds"], strict=True):
        _bind(source, Path(target), read_only)
    if host["is_fabric"]:
        return host["wants_freezer"] and _mount_freezer()
    _show_freezer(own_freezer)
    return own_freezer >= 0


def _mount_freezer() -> bool:
    """Version 1's freezer can be mounted beside version 2, which has no controller of that name; not where the kernel lacks it."""
    FREEZER.mkdir()
    try:
        mount("cgroup", FREEZER, "cgroup", NOSUID | NODEV | NOEXEC, "freezer")
    except OSError as error:
        print(f"no freezer: {error}", file=sys.stderr, flush=True)
        return False
    return True


def _join_freezer(group: str) -> int:
    """The host's part of the freezer, with this process in it, opened; -1 if there is none."""
    if not group:
        return -1
    folder = FREEZER / group
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cgroup.procs").write_text("0")
    return os.open(folder, os.O_PATH)


def _show_freezer(own: int) -> None:
    """The host's part, as if it were all of it; no other group of the machine is to be seen."""
    mount("tmpfs", HOST_FREEZER.parent, "tmpfs", NOSUID | NODEV, "mode=755")
    if own >= 0:
        HOST_FREEZER.mkdir()
        mount(f"/proc/self/fd/{own}", HOST_FREEZER, None, BIND)


def _bind(source: int, target: Path, read_only: bool) -> None:
    path = f"/proc/self/fd/{source}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        if Path(path).is_dir():
            target.mkdir()
        else:
            target.touch()
    mount(path, target, None, BIND | REC)
    if read_only:
        mount("none", target, None, REMOUNT | BIND | RDONLY)
    os.close(source)


def main() -> None:
    wanted = json.load(sys.stdin)
    os.umask(0o022)
    booted = {}
    for name, host in wanted["hosts"].items():
        pid, has_freezer = _boot(name, wanted["fabric"], host, wanted["environment"])
        booted[name] = {"pid": pid, "freezer": has_freezer}
    json.dump(booted, sys.stdout)


if __name__ == "__main__":
    main()
