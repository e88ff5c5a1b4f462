"""Enqueueing a directory: read it, look at the outputs, ask or change the broker, and say what became of each jobfile."""

import re
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from broker.enqueue import Enqueued, Entry, enqueue
from broker.errors import QueueFull
from broker.records import Campaign
from nunatak.campaign import Request, changes, check_name, effective, entry_of, to_store
from nunatak.campaign_options import DEFAULT_PRIORITY, lane_change
from nunatak.directory import Rejected, Scan, find_done, misfits, rule_of, scan
from nunatak.marker import check_marker, write_marker
from nunatak.relaning import Relaning
from nunatak.session import Broker, Session
from tasks.done_rule import DoneRule, Expected, default_rule
from tasks.jobfile import Jobfile

#: Jobfiles whose expected paths a dry run shows.
_EXAMPLES = 3
#: Stands for the number of a campaign that does not exist yet; those that do count from 1.
_NO_CAMPAIGN = "0"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a directory."""

    request: Request
    #: How many of each word of lua/enqueue.lua; 'elsewhere' is counted as 'already_queued'.
    counts: Counter[str]
    rejected: tuple[Rejected, ...]
    warnings: tuple[str, ...]
    done_rule: str
    #: The campaign's options that are different now, `retries 3 -> 5`.
    changes: tuple[str, ...]
    #: Campaigns in which jobfiles of this directory wait or run already, with how many.
    elsewhere: Mapping[str, int]
    #: What the done rule looks for, for some jobfiles.
    examples: tuple[tuple[Jobfile, Expected], ...]
    #: False: a dry run that found no broker to ask.
    asked: bool

    @property
    def accepted(self) -> int:
        return self.counts.total()


def enqueue_directory(session: Session, request: Request) -> Outcome:
    """Enqueue a directory's jobfiles, or with `dry_run` say what would become of them and change nothing.

    May be repeated, also after a failure in its middle. Raises WrongUse, BadDirectory, AnotherHome, Unreachable, QueueFull.
    """
    check_name(request.name)
    check_marker(request.directory, session.settings.home, request.force)
    # Read first: a wrong directory starts no broker.
    found = scan(request.directory, request.pattern)
    return _Enqueueing(session, request, found).run()


class _Enqueueing:
    """One directory on its way into the queue."""

    def __init__(self, session: Session, request: Request, found: Scan) -> None:
        self._session = session
        self._request = request
        self._asked = session.is_there()
        self._stored: Campaign | None = session.insist(lambda b: b.ledger.campaign(request.name)) if self._asked else None
        self._options = effective(request, self._stored, default_rule(found.directory, [j.path.name for j in found.good]))
        self._rule = DoneRule.parse(self._options["done"])
        strangers = misfits(found.good, self._rule)
        unfit = {rejected.file for rejected in strangers}
        self._good = tuple(jobfile for jobfile in found.good if jobfile.path not in unfit)
        self._rejected = (*found.rejected, *strangers)

    def run(self) -> Outcome:
        entries = self._entries()
        words, warnings = self._ask(entries) if self._request.dry_run else self._enqueue(entries)
        elsewhere = Counter(word.split()[1] for word in words if word.startswith("elsewhere"))
        return Outcome(
            request=self._request,
            counts=Counter("already_queued" if word.startswith("elsewhere") else word for word in words),
            rejected=self._rejected,
            warnings=(*warnings, *summary(self._good)),
            done_rule=self._rule.text,
            changes=tuple(changes(self._stored, self._options)),
            elsewhere=self._names(elsewhere),
            examples=tuple((j, rule_of(j, self._rule).expected(j.path)) for j in self._good[:_EXAMPLES]),
            asked=self._asked,
        )

    def _entries(self) -> list[Entry]:
        done = {jobfile.path for jobfile in find_done(self._good, self._rule)}
        return [entry_of(jobfile, self._options, self._outputs(jobfile, done)) for jobfile in self._good]

    def _outputs(self, jobfile: Jobfile, done: set[Path]) -> str:
        if not rule_of(jobfile, self._rule).patterns:
            return "unknown"
        return "present" if jobfile.path in done else "absent"

    def _ask(self, entries: Sequence[Entry]) -> tuple[Sequence[str], list[str]]:
        """What would become of them; without a broker, as if it had never heard of them."""
        if not self._asked:
            return ["already_done" if entry.outputs == "present" else "enqueued" for entry in entries], []
        number = self._stored.number if self._stored else _NO_CAMPAIGN
        return self._session.insist(lambda broker: self._send(broker, "", number, entries)).words, []

    def _enqueue(self, entries: Sequence[Entry]) -> tuple[Sequence[str], list[str]]:
        if not entries:
            return [], []
        warning = write_marker(self._request.directory, self._session.settings.home)
        batch = secrets.token_hex(8)
        options = to_store(self._request, self._stored, self._options)
        number, _ = self._session.insist(lambda broker: broker.scripts.campaign(self._request.name, options))
        try:
            words = self._session.insist(lambda broker: self._send(broker, batch, number, entries)).words
        except QueueFull as error:
            raise QueueFull(f"{error}. What was enqueued before stays; the same command goes on where this one stopped") from error
        self._relane(number)
        return words, [warning] if warning else []

    def _send(self, broker: Broker, batch: str, number: str, entries: Sequence[Entry]) -> Enqueued:
        directory, again, dry = str(self._request.directory), self._request.again, self._request.dry_run
        return enqueue(broker.scripts, batch=batch, campaign=number, directory=directory, entries=entries, again=again, dry_run=dry)

    def _relane(self, number: str) -> None:
        """The campaign's jobfiles of other directories, and those that this pattern does not find, go by the given options too."""
        change = lane_change(self._request.options, DEFAULT_PRIORITY)
        if self._stored is not None and not change.changes_nothing:
            self._session.insist(lambda broker: Relaning(broker.scripts).apply(number, change))

    def _names(self, numbers: Mapping[str, int]) -> dict[str, int]:
        names = {c.number: c.name for c in self._session.insist(lambda b: b.ledger.campaigns())} if numbers else {}
        return {names.get(number, "a campaign that was forgotten"): count for number, count in numbers.items()}


def summary(jobfiles: Iterable[Jobfile]) -> list[str]:
    """The jobfiles' warnings, the same one of many jobfiles as one sentence."""
    places: dict[str, list[str]] = {}
    for jobfile in jobfiles:
        for warning in jobfile.warnings:
            _, line, text = re.split(r"^(?:line (\d+): )?", warning, maxsplit=1)
            places.setdefault(text, []).append(f"{jobfile.path.name}:{line}" if line else jobfile.path.name)
    return [f"{text} ({found[0]}{f' and {len(found) - 1:,} more' if len(found) > 1 else ''})" for text, found in places.items()]
