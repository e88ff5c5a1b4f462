"""Other people's packages under the names of ours."""

from collections.abc import Iterator
from dataclasses import dataclass

from nunatak.doctor.finding import Finding, bad, ok, warning


@dataclass(frozen=True, kw_only=True)
class Strangers:
    """What was found under our packages' names."""

    #: What is wrong with what Python would import; empty: all are ours.
    complaints: tuple[str, ...]
    #: Foreign packages on $PYTHONPATH.
    on_pythonpath: tuple[str, ...]


def judge_strangers(strangers: Strangers) -> Iterator[Finding]:
    for complaint in strangers.complaints:
        text, _, remedy = complaint.partition(". ")
        yield bad("foreign", text, remedy or "install nunatak again, in an environment of its own")
    if strangers.on_pythonpath:
        yield warning(
            "foreign", f"$PYTHONPATH has {', '.join(strangers.on_pythonpath)}, the name of a package of ours",
            "nothing, as long as you use our programs: they read no $PYTHONPATH",
        )
    elif not strangers.complaints:
        yield ok("foreign", "no other package has the name of one of ours")
