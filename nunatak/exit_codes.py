"""What each of our errors means for the shell: the one table of exit codes."""

from enum import IntEnum

from broker.errors import AnotherHome, BrokerBusy, BrokerError, NoServer, QueueFull, Unreachable
from launcher.errors import LauncherError, SubmitFailed
from nunatak.directory import BadDirectory
from nunatak.errors import Gone, Interrupted, WrongUse
from nunatak.foreign import ForeignPackage
from tasks.errors import CannotLook, TaskError


class ExitCode(IntEnum):
    """Every exit code of ours; 70 is left for a bug, which shows its traceback."""

    #: All well.
    WELL = 0
    #: Some jobfiles did not end well, or could not be enqueued.
    SOME_BAD = 1
    #: Wrong use or bad input; the message names file, line and remedy.
    WRONG_USE = 2
    #: The broker or the scheduler cannot be reached.
    UNREACHABLE = 3
    #: A bug of nunatak's (sysexits.h: EX_SOFTWARE).
    BUG = 70
    #: Ended by its user.
    INTERRUPTED = 130
    #: Whoever read the output has gone, as `head` does; what other programs' shells say of SIGPIPE.
    PIPE_CLOSED = 141


#: The first line that fits holds.
_TABLE: tuple[tuple[type[Exception], ExitCode], ...] = (
    (Interrupted, ExitCode.INTERRUPTED),
    (WrongUse, ExitCode.WRONG_USE),
    (BadDirectory, ExitCode.WRONG_USE),
    (ForeignPackage, ExitCode.WRONG_USE),
    (Gone, ExitCode.UNREACHABLE),
    (AnotherHome, ExitCode.WRONG_USE),
    (BrokerBusy, ExitCode.WRONG_USE),
    (Unreachable, ExitCode.UNREACHABLE),
    (NoServer, ExitCode.UNREACHABLE),
    (QueueFull, ExitCode.UNREACHABLE),
    (BrokerError, ExitCode.UNREACHABLE),
    (SubmitFailed, ExitCode.UNREACHABLE),
    (LauncherError, ExitCode.WRONG_USE),
    (CannotLook, ExitCode.UNREACHABLE),
    (TaskError, ExitCode.WRONG_USE),
)
#: What is caught at the edge: nothing that is not ours.
OURS = tuple(kind for kind, _ in _TABLE)


def exit_code_of(error: Exception) -> ExitCode:
    """The exit code of one of our errors."""
    return next(code for kind, code in _TABLE if isinstance(error, kind))
