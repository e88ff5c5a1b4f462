"""Which jobfile a user means: a path, a name, or the beginning of a name."""

import difflib
import heapq
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Any

import redis

from broker import keys
from broker.enqueue import job_id
from broker.ledger import Ledger
from broker.records import Job
from broker.scripts import translated
from nunatak.errors import WrongUse

#: Records per round trip; only their names are read.
_PAGE = 2000
#: At most this many names are compared letter by letter: difflib needs 0.1 ms for each.
_COMPARED = 2000
#: An answer names at most this many.
_SHOWN = 5


class UnknownJobfile(WrongUse):
    """No jobfile, or more than one, is meant by an argument. The text names those that come close."""


class JobfileNames:
    """Finds jobfiles by what their user typed."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client: Any = client
        self._ledger = Ledger(client)

    def find(self, text: str) -> Job:
        """The one jobfile that `text` means; raises UnknownJobfile."""
        job = self._at_path(text)
        if job is not None:
            return job
        if "/" in text:
            raise UnknownJobfile(f"no jobfile was ever enqueued as {_absolute(text)}{self._close(os.path.basename(text))}")
        return self._only_one(text, self._named(text) or self._beginning(text))

    def find_all(self, texts: Iterable[str]) -> list[Job]:
        """The jobfiles that several arguments mean, each once; raises UnknownJobfile."""
        found = {job.job_id: job for job in map(self.find, texts)}
        return list(found.values())

    def _at_path(self, text: str) -> Job | None:
        directory, name = os.path.split(_absolute(text))
        return self._ledger.job_at(directory, name)

    def _named(self, name: str) -> list[str]:
        """Ids of the jobfiles of exactly this name: one look per directory, however many jobfiles there are."""
        with translated():
            ids = [job_id(directory, name) for directory in self._client.hvals(keys.DIRECTORIES)]
            pipe = self._client.pipeline(transaction=False)
            for identity in ids:
                pipe.exists(keys.job(identity))
            return [identity for identity, exists in zip(ids, pipe.execute(), strict=True) if exists]

    def _beginning(self, prefix: str) -> list[str]:
        return [identity for identity, name in self._names() if name.startswith(prefix)] if prefix else []

    def _names(self) -> Iterator[tuple[str, str]]:
        """Every jobfile's id and name."""
        seen: set[str] = set()
        with translated():
            for number in self._client.hvals(keys.CAMPAIGNS):
                ids = [i for i in self._client.lrange(keys.campaign_jobs(number), 0, -1) if i not in seen]
                seen.update(ids)
                for start in range(0, len(ids), _PAGE):
                    yield from self._page(ids[start : start + _PAGE])

    def _page(self, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        pipe = self._client.pipeline(transaction=False)
        for identity in ids:
            pipe.hget(keys.job(identity), "name")
        for identity, name in zip(ids, pipe.execute(), strict=True):
            if name is not None:
                yield identity, name

    def _only_one(self, text: str, ids: Sequence[str]) -> Job:
        # One more than is shown tells whether there are more.
        jobs = [job for job in map(self._ledger.job, ids[: _SHOWN + 1]) if job is not None]
        if len(jobs) == 1:
            return jobs[0]
        if not jobs:
            raise UnknownJobfile(f"no jobfile is called {text}, or begins with it{self._close(text)}")
        more = f"\n  … ({len(ids)} in all)" if len(ids) > _SHOWN else ""
        listed = "".join(f"\n  {job.path}" for job in jobs[:_SHOWN])
        raise UnknownJobfile(f"{text} may be one of several; say which by more of its name, or by its path:{listed}{more}")

    def _close(self, text: str) -> str:
        close = close_names(text, (name for _, name in self._names()))
        return f"; did you mean {', '.join(close)}?" if close else "; `nunatak jobs` lists them all"


def close_names(text: str, names: Iterable[str]) -> list[str]:
    """Names that look like `text`, the most alike first."""
    candidates = heapq.nlargest(_COMPARED, set(names), key=lambda name: _same_beginning(name, text))
    return difflib.get_close_matches(text, candidates, n=3, cutoff=0.6)


def _same_beginning(one: str, other: str) -> int:
    """How many characters two names share from their start."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _absolute(text: str) -> str:
    """The identity's path: the directory's real path and the name as it is, a link included (LEASES rule 23)."""
    directory, name = os.path.split(text)
    return os.path.join(os.path.realpath(directory or os.curdir), name)
