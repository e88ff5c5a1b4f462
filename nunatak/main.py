"""The programs `nunatak` and `enqueue-jobfiles`: refuse foreign packages, read the settings, run a command, end with its exit code."""

import errno
import logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import click

from nunatak.commands import HELP_WANTED, LazyGroup, load
from nunatak.foreign import ForeignPackage, refuse_foreign

_EPILOG = """\b
Exit codes: 0 all well, 1 some jobfiles did not end well, 2 wrong use or bad
input, 3 the broker or the scheduler cannot be reached, 130 interrupted, 70 a bug.
\b
Environment: NUNATAK_HOME, where the broker keeps its files (default ~/.nunatak).
Every setting has a variable too: nunatak config
\b
Example: nunatak run region_03_conus/jobfiles/2m
"""
_CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group("nunatak", cls=LazyGroup, epilog=_EPILOG, context_settings=_CONTEXT)
@click.version_option(package_name="nunatak", prog_name="nunatak")
@click.option("-v", "--verbose", is_flag=True, envvar="NUNATAK_VERBOSE", show_envvar=True, help="Say on standard error what is done.")
@click.pass_context
def nunatak(context: click.Context, verbose: bool) -> None:
    """Run directories of jobfiles on machines that may die: nothing lost, nothing twice."""
    _prepare(context, verbose)


def main() -> None:
    """The program `nunatak`."""
    sys.exit(guarded(lambda: _invoke(nunatak, "nunatak")))


def enqueue_jobfiles() -> None:
    """The program `enqueue-jobfiles`, the same as `nunatak enqueue`."""
    sys.exit(guarded(lambda: _invoke(load("enqueue"), "enqueue-jobfiles")))


def _invoke(command: click.Command, program: str) -> int:
    """Without click's own `main`, whose exit codes are not ours."""
    with command.make_context(program, sys.argv[1:], **_CONTEXT) as context:
        if command is not nunatak:
            _prepare(context, os.environ.get("NUNATAK_VERBOSE", "") not in ("", "0"))
        command.invoke(context)
    sys.stdout.flush()
    return 0


def _prepare(context: click.Context, verbose: bool) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if not verbose:
        # What goes wrong in Parsl we say ourselves, in one line that says what to do.
        logging.getLogger("parsl").setLevel(logging.CRITICAL)
    if not context.meta.get(HELP_WANTED):
        from nunatak.settings import load_settings

        context.obj = load_settings()


def guarded(program: Callable[[], int]) -> int:
    """Run a program; whatever leaves it becomes one line of words and an exit code."""
    try:
        refuse_foreign()
        return _translated(program)
    except ForeignPackage as error:
        _start_isolated()
        return _failed(str(error), 2)
    except (KeyboardInterrupt, click.Abort):
        return _failed("interrupted", 130, heading="")
    except BrokenPipeError:
        return _pipe_closed()
    except Exception:  # noqa: BLE001  # the top of the process: a bug must not look like one of our own exit codes
        traceback.print_exc()
        return _failed("this is a bug of nunatak's; please report the lines above", 70)


def _start_isolated() -> None:
    """Once more as `python -I`, which reads no PYTHONPATH; the variable stays in the environment, where the user's jobfiles want it."""
    if not sys.flags.isolated and os.path.isfile(sys.argv[0]):
        os.execv(sys.executable, [sys.executable, "-I", *sys.argv])


def _translated(program: Callable[[], int]) -> int:
    # Not before refuse_foreign(): these modules import broker, launcher and tasks.
    from nunatak.errors import Interrupted
    from nunatak.exit_codes import OURS, ExitCode, exit_code_of

    try:
        return program()
    except click.exceptions.Exit as ended:
        sys.stdout.flush()
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        # click's own have 1 where they are about files, and 1 is about jobfiles here.
        return error.exit_code if error.exit_code in list(ExitCode) and error.exit_code != ExitCode.SOME_BAD else ExitCode.WRONG_USE
    except Interrupted as error:
        return _failed(str(error), ExitCode.INTERRUPTED, heading="")
    except OURS as error:
        return _failed(str(error), exit_code_of(error))


def _failed(text: str, code: int, heading: str = "Error: ") -> int:
    try:
        click.echo(heading + text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), err=True)
    except OSError as error:
        if error.errno != errno.EPIPE:
            raise
    return code


def _pipe_closed() -> int:
    """Nobody reads any more: that is no error to talk about, but Python would, when it flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return 141
