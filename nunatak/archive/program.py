"""What Python runs when it is given the unpacked archive: `python -I -S FOLDER worker --block ID`, or one of that command's programs."""

import os
import sys


def main() -> int:
    """Only these three, and each imports no more than it needs."""
    # What of Python's own library is here comes before the interpreter's, which may lie on a shared filesystem.
    sys.path.insert(1, os.path.join(sys.path[0], "stdlib"))
    program = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if program == "worker":
        return _worker()
    if program == "tasks.guard":
        from tasks.guard.__main__ import main as guard

        return guard(sys.argv)
    if program == "tasks.worker":
        from tasks.worker import main as worker

        worker()
        return 0
    print(f"Error: unknown program {program!r}; a block's nodes run: python -I -S FOLDER worker --block ID", file=sys.stderr)
    return 2


def _worker() -> int:
    """`nunatak worker`, without what nunatak/main.py does for people at a terminal."""
    from broker.errors import BrokerError
    from nunatak.cli.worker import command
    from nunatak.errors import WrongUse

    try:
        command.main(prog_name="nunatak worker")
    except (WrongUse, BrokerError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
