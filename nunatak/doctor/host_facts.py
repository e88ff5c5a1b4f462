"""Looks at this host: the one place where the doctor reads /proc, modes, limits and environment."""

import os
import pwd
import re
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from broker.binary import find_server
from broker.errors import NoServer
from broker.home import Home
from nunatak.doctor.limits import Limits
from nunatak.doctor.login_host import LoginHost
from nunatak.doctor.mount import Kind, Mount, parse_mounts
from nunatak.doctor.place import Place, place_on, purged_folders
from nunatak.doctor.python import Needed, Python
from nunatak.doctor.secrets import Mode
from nunatak.doctor.server_program import ServerProgram
from nunatak.doctor.space import Quota, parse_lfs_quota, parse_quota
from nunatak.doctor.strangers import Strangers
from nunatak.foreign import OURS, complaint, locate
from nunatak.install_server import this_machine

#: A filesystem that is away makes `quota` hang.
_QUOTA_TIMEOUT_S = 15.0
_KILL_AT_LOGOUT = re.compile(r"^\s*KillUserProcesses\s*=\s*(yes|true|on|1)\s*$", re.IGNORECASE | re.MULTILINE)


def python() -> Python:
    """This Python, and what our own requirements say of its packages."""
    wanted = [Requirement(text) for text in metadata.requires("nunatak") or ()]
    needed = tuple(_needed(r) for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""}))
    return Python(version=sys.version_info[:3], executable=sys.executable, needed=needed)


def _needed(wanted: Requirement) -> Needed:
    try:
        found = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        found = ""
    text = f"{wanted.name}{wanted.specifier}"
    return Needed(requirement=text, found=found, is_met=bool(found) and wanted.specifier.contains(found, prereleases=True))


def strangers(environ: Mapping[str, str]) -> Strangers:
    """What Python would import under our names, and what other Pythons would."""
    found = [locate(name) for name in OURS]
    listed = [Path(part) for part in environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    ours = {os.path.realpath(f.expected) for f in found}
    foreign = [p for folder in listed for name in (*OURS, "nunatak") for p in (folder / name, folder / f"{name}.py") if p.exists()]
    return Strangers(
        complaints=tuple(complaint(f, environ) for f in found if not f.is_ours),
        on_pythonpath=tuple(str(p) for p in foreign if os.path.realpath(p) not in ours and os.path.realpath(p) != str(_package())),
    )


def _package() -> Path:
    return Path(os.path.realpath(__file__)).parent.parent


# -- places -----------------------------------------------------------------------------------------------------------------------------


def mounts() -> tuple[Mount, ...]:
    try:
        return parse_mounts(os.fsdecode(Path("/proc/self/mountinfo").read_bytes()))
    except OSError:  # no /proc: every kind is UNKNOWN, and the text says so
        return ()


def place(path: Path, all_mounts: tuple[Mount, ...], environ: Mapping[str, str]) -> Place:
    """A folder, or where it will be made, with its filesystem."""
    scratch = environ.get("SCRATCH", "")
    real = os.path.realpath(path)
    found = place_on(str(path), real, all_mounts, purged_folders(os.path.realpath(scratch) if scratch else "", all_mounts))
    return _with_room(found)


def _with_room(found: Place) -> Place:
    folder = Path(found.real)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        stats = os.statvfs(folder)
    except OSError as error:
        return Place(**{**vars(found), "trouble": str(error.strerror)})
    # Filesystems that make inodes as they need them (btrfs, some network ones) say 0 of 0.
    inodes = stats.f_favail if stats.f_files else None
    return Place(**{**vars(found), "free_bytes": stats.f_bavail * stats.f_frsize, "free_inodes": inodes})


def programs() -> Path:
    """The environment that our programs are in: what a node must see."""
    return Path(sys.prefix)


def quota(place: Place) -> tuple[Quota | None, str]:
    """The user's quota there, or why nobody says."""
    user = pwd.getpwuid(os.getuid()).pw_name
    if place.fstype == "lustre" and shutil.which("lfs"):
        said, why = _said(["lfs", "quota", "-q", "-u", user, place.real])
        return (parse_lfs_quota(said), why or "lfs quota says nothing of it")
    if place.kind is not Kind.MEMORY and shutil.which("quota"):
        said, why = _said(["quota", "-w", "-p"])
        return (parse_quota(said, place.source), why or "`quota` does not list it")
    return None, f"no program here tells quotas of {place.fstype or 'it'}"


def _said(argv: list[str]) -> tuple[str, str]:
    try:
        done = subprocess.run(
            argv, capture_output=True, timeout=_QUOTA_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"{argv[0]}: {error}"
    return os.fsdecode(done.stdout), ""


def modes(home: Home) -> tuple[Mode, ...]:
    """The home and what lies directly in it."""
    if not home.root.is_dir():
        return ()
    return tuple(m for path in [home.root, *sorted(home.root.iterdir())] if (m := _mode(path, home)) is not None)


def _mode(path: Path, home: Home) -> Mode | None:
    try:
        found = path.lstat()
    except FileNotFoundError:  # it was there a moment ago
        return None
    name = "." if path == home.root else path.name
    # A link's own mode means nothing.
    mode = 0 if stat.S_ISLNK(found.st_mode) else stat.S_IMODE(found.st_mode)
    return Mode(name=name, path=str(path), mode=mode, is_ours=found.st_uid == os.getuid())


# -- the host ---------------------------------------------------------------------------------------------------------------------------


def limits() -> Limits:
    files, tasks = resource.getrlimit(resource.RLIMIT_NOFILE)[1], resource.getrlimit(resource.RLIMIT_NPROC)[0]
    bounds = [n for n in (_number(tasks), _slice_limit("pids.max")) if n is not None]
    return Limits(open_files=_number(files), tasks=min(bounds, default=None), tasks_now=_tasks_now())


def _number(limit: int) -> int | None:
    return None if limit == resource.RLIM_INFINITY else limit


def _tasks_now() -> int:
    """This user's processes and threads on this host."""
    count = 0
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdecimal() and folder.stat().st_uid == os.getuid():
                count += len(os.listdir(folder / "task"))
        except OSError:  # it has just ended
            continue
    return count


def _slice_limit(name: str) -> int | None:
    """A limit that systemd puts on all processes of a logged-in user; None: there is none, or another version of control groups."""
    try:
        text = Path(f"/sys/fs/cgroup/user.slice/user-{os.getuid()}.slice/{name}").read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def login_host(environ: Mapping[str, str]) -> LoginHost:
    user = pwd.getpwuid(os.getuid()).pw_name
    return LoginHost(
        name=os.uname().nodename,
        job_id=environ.get("SLURM_JOB_ID", ""),
        kills_at_logout=any(_KILL_AT_LOGOUT.search(text) for text in _logind_texts()),
        lingers=Path(f"/var/lib/systemd/linger/{user}").exists(),
        has_cron=shutil.which("crontab") is not None,
        memory_bytes=_slice_limit("memory.max"),
    )


def _logind_texts() -> list[str]:
    found = []
    for path in [Path("/etc/systemd/logind.conf"), *sorted(Path("/etc/systemd/logind.conf.d").glob("*.conf"))]:
        try:
            found.append(path.read_text(errors="replace"))
        except OSError:  # not there, or not for us to read
            continue
    return found


def server_program(url: str, environ: Mapping[str, str]) -> ServerProgram:
    """The server program that a start here would use."""
    found, trouble = "", ""
    try:
        binary = find_server(environ, environ.get("PATH", os.defpath))
        found = f"{binary.product} {'.'.join(map(str, binary.version))} at {binary.path}"
    except NoServer as error:
        trouble = str(error)
    return ServerProgram(found=found, trouble=trouble, is_external=bool(url), machine=this_machine())
