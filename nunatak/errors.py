"""What the roof itself refuses; each error's text ends with what to do next. nunatak/main.py turns every error into an exit code."""


class WrongUse(Exception):
    """Wrong use or bad input: the text names the value, its place, and the remedy. Exit code 2."""


class BadSettings(WrongUse):
    """A setting that does not exist or cannot have this value; correct it where the text says."""


class Gone(Exception):
    """The broker or the scheduler could not be used; nothing is lost by that. Exit code 3."""


class Interrupted(Exception):
    """Its user ended the command; the text says how to go on. Exit code 130."""
