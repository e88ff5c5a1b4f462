"""The table of all commands, and the group that imports one only when it is called: `nunatak --help` must cost nothing."""

import difflib
from collections.abc import Mapping
from importlib import import_module

import click

#: Heading -> command -> what the list says of it. Command `x` is `command` in nunatak/cli/x.py.
TABLE: Mapping[str, Mapping[str, str]] = {
    "Run": {
        "enqueue": "Put a directory's jobfiles into the queue (= enqueue-jobfiles).",
        "run": "Run a directory's jobfiles on this machine until all have ended.",
        "blocks": "Blocks on a cluster: submit, list, drain, cancel, scale.",
        "wait": "Wait until campaigns have ended.",
    },
    "Look": {
        "status": "How far everything is, and when it may be over.",
        "campaigns": "The campaigns with their counts and options.",
        "jobs": "The jobfiles, by campaign and state.",
        "workers": "The workers, and when they were last heard of.",
        "show": "All attempts of one jobfile.",
        "log": "The output of one jobfile.",
        "sites": "The sites that blocks can run on; make one your own.",
        "flower": "Flower, Celery's dashboard, on this queue.",
        "config": "All settings, and where each comes from.",
        "doctor": "Check host, cluster and broker, and say what to do.",
    },
    "Change": {
        "pause": "Start no more jobfiles; what runs goes on.",
        "resume": "Start jobfiles again.",
        "retry": "Let jobfiles that ended badly wait again.",
        "cancel": "End jobfiles, or take them out of the queue.",
        "set": "Change a campaign's options.",
        "forget": "Remove an ended campaign's records, after exporting them.",
    },
    "Machinery": {
        "broker": "Start, stop or look at the broker.",
        "worker": "Run jobfiles on this node (what a block runs).",
        "archive": "Build the file that a block's nodes start from.",
    },
}
#: Commands whose names Python or its library has taken.
_MODULES = {"set": "set_options"}
#: In a context's `meta`: whether somebody asks for help only.
HELP_WANTED = "nunatak.help_wanted"
_NAMES = tuple(name for commands in TABLE.values() for name in commands)


class LazyGroup(click.Group):
    """A group whose commands are those of the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(_NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        return load(cmd_name) if cmd_name in _NAMES else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # A command's help must not depend on whether the settings are right, and click reads them first.
        ctx.meta[HELP_WANTED] = bool({"-h", "--help"} & set(args))
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in _NAMES and not name.startswith("-"):
            close = difflib.get_close_matches(name, _NAMES, n=1)
            remedy = f"did you mean {close[0]}?" if close else "nunatak --help lists them"
            raise click.UsageError(f"there is no command {name!r}; {remedy}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        for heading, commands in TABLE.items():
            with formatter.section(heading):
                formatter.write_dl(list(commands.items()), col_max=12)


def load(name: str) -> click.Command:
    """The command of this name, imported."""
    command = import_module(f"nunatak.cli.{_MODULES.get(name, name)}").command
    assert isinstance(command, click.Command)
    return command
