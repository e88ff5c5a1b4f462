"""The server program, and the C library that decides which one can be installed."""

from collections.abc import Iterator
from dataclasses import dataclass

from nunatak.doctor.finding import Finding, bad, ok
from nunatak.install_server import REMEDY, Machine, choose


@dataclass(frozen=True, kw_only=True)
class ServerProgram:
    """What was found on this host."""

    #: "valkey 9.1.2 at /path"; empty: none.
    found: str
    #: Why none was found.
    trouble: str
    #: This home uses somebody else's server.
    is_external: bool
    machine: Machine


def judge_server_program(program: ServerProgram) -> Iterator[Finding]:
    glibc = program.machine.glibc
    library = f"glibc {glibc[0]}.{glibc[1]}" if glibc else "a C library that is not glibc"
    if program.is_external:
        yield ok("server", f"an external one by its URL; {library} here")
    elif program.found:
        yield ok("server", f"{program.found}; {library}")
    else:
        wheel = choose(program.machine)
        fits = f"python -I -m nunatak.install_server (installs {wheel}, which fits {library})" if wheel else REMEDY
        yield bad("server", f"{program.trouble.splitlines()[0]} {library}.", fits)
