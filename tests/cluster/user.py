"""The ordinary user account, known inside of the hosts only."""

from pathlib import Path

NAME = "alice"
UID = 20001
#: Names come from files, never from a directory service or the machine's name server.
NSSWITCH = "".join(f"{word}: files\n" for word in ("passwd", "group", "shadow", "hosts", "networks", "protocols", "services"))


def passwd(machine: str, home: Path) -> str:
    """The machine's /etc/passwd and the user."""
    return f"{machine.rstrip()}\n{NAME}:x:{UID}:{UID}::{home}:/bin/bash\n"


def group(machine: str) -> str:
    return f"{machine.rstrip()}\n{NAME}:x:{UID}:\n"


def environment(user: str, home: Path, program_folder: Path) -> dict[str, str]:
    """What a login gives: none of the test's own variables, and nunatak found last, so that python3 stays the system's."""
    system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    if user != NAME:
        return {"PATH": system, "LANG": "C.UTF-8", "HOME": "/", "USER": user, "LOGNAME": user, "SHELL": "/bin/bash"}
    return {
        "PATH": f"{system}:{program_folder}", "LANG": "C.UTF-8", "HOME": str(home), "USER": user, "LOGNAME": user, "SHELL": "/bin/bash",
    }  # fmt: skip
