"""The Lua scripts as Python calls: one method per verb, the server's errors translated into ours.

Every verb may be repeated after an `Unreachable`: it is idempotent (LEASES rule 1). None is repeated here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

import redis
from redis import exceptions

from broker.errors import BrokerError, CampaignGone, QueueFull, Stale, Unreachable
from broker.packet import exchange
from broker.settings import LeaseSettings

#: At most this many ids in one script: a script must not hold up the renewals of the living (LEASES rule 5).
BATCH = 100

_FOLDER = resources.files("broker") / "lua"
#: What stands between the prelude and a verb.
_LIBRARIES = dict.fromkeys(("settle", "renew", "forgive"), ("streak", "evidence"))


@dataclass(frozen=True, kw_only=True)
class Beat:
    """The server's answer to a beat."""

    #: The time before it cannot be trusted: restart, stall or clock step.
    gap: bool
    #: Nothing is reaped before this server time, in ms.
    grace_until_ms: int


@dataclass(frozen=True, kw_only=True)
class Reaped:
    """A jobfile whose lease had run out and that waits again."""

    job_id: str
    worker: str
    node: str


def source(verb: str, major: int) -> str:
    """The text of a verb's script for a server of this major version.

    Servers from 7 on must be told that scripts may go on at the memory limit, or renewals are refused there and leases run out; only
    `enqueue` is to be refused then.
    """
    parts = ("prelude", *_LIBRARIES.get(verb, ()), verb)
    text = "".join((_FOLDER / f"{part}.lua").read_text() for part in parts)
    if major < 7:
        return text
    return ("#!lua\n" if verb in ("enqueue", "campaign") else "#!lua flags=allow-oom\n") + text


@contextmanager
def translated() -> Iterator[None]:
    """Library errors as ours: whatever the server says of itself means `Unreachable`, never that something is lost (LEASES rule 5)."""
    try:
        yield
    except exceptions.OutOfMemoryError as error:
        raise QueueFull(
            f"the broker's memory limit is reached, nothing of this batch was enqueued ({error}); "
            "wait until jobfiles end, or raise maxmemory"
        ) from error
    except exceptions.ResponseError as error:
        if str(error).startswith("STALE"):
            raise Stale("the broker's supervisor has not beaten lately; `nunatak broker start` starts one") from error
        if str(error).startswith("NOCAMPAIGN"):
            raise CampaignGone(f"{str(error).removeprefix('NOCAMPAIGN ')}: nothing was changed; give the command again") from error
        raise Unreachable(f"the broker refused: {error}") from error
    except (exceptions.RedisError, OSError) as error:
        raise Unreachable(f"the broker cannot be reached: {error}") from error


def _flat(fields: Mapping[str, str]) -> list[str]:
    return [x for pair in fields.items() for x in pair]


class Scripts:
    """The verbs on one connection pool.

    `clock`, in ms, replaces the server's time in tests and in the simulator only.
    """

    def __init__(self, client: "redis.Redis", clock: Callable[[], int] | None = None) -> None:
        self.client = client
        self._clock = clock
        self._shas: dict[str, str] = {}

    @cached_property
    def major(self) -> int:
        """The server's major version, as Redis counts (Valkey reports the Redis version that it is compatible with)."""
        return int(str(self.client.info("server")["redis_version"]).split(".")[0])

    def sha(self, verb: str) -> str:
        """The digest to call the verb by; loads the script if this is its first use here."""
        if verb not in self._shas:
            with translated():
                major = self.major
            text = source(verb, major)
            with translated():
                self._shas[verb] = str(self.client.script_load(text))
        return self._shas[verb]

    def arguments(self, *args: object) -> list[Any]:
        """A script's ARGV: the clock, then what the verb takes."""
        return ["" if self._clock is None else self._clock(), *args]

    def _call(self, verb: str, *args: object) -> Any:
        arguments = self.arguments(*args)
        sha = self.sha(verb)
        with translated():
            try:
                return self.client.evalsha(sha, 0, *arguments)
            except exceptions.NoScriptError:
                # A restarted server has forgotten its scripts; it has executed nothing.
                self._shas.pop(verb, None)
        sha = self.sha(verb)
        with translated():
            return self.client.evalsha(sha, 0, *arguments)

    def together(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """Several verbs with their arguments, carried out one after the other; their answers.

        Raises the first error; what came after it was carried out all the same.
        """
        commands = [("EVALSHA", self.sha(verb), 0, *self.arguments(*args)) for verb, args in calls]
        with translated():
            replies = exchange(self.client, commands)
            for error in (reply for reply in replies if isinstance(reply, exceptions.ResponseError)):
                if isinstance(error, exceptions.NoScriptError):
                    self._shas.clear()
                raise error
        return replies

    def beat(self, at_ms: int, counter: int, epoch: int, run_id: str, drift: bool, settings: LeaseSettings) -> Beat:
        """Record that file, server and clock were seen alive together at `at_ms` (the server's time, before the file was written)."""
        times = [round(s * 1000) for s in (settings.lease_s, settings.margin_s, settings.beat_fresh_s)]
        rules = (settings.max_losses, round(settings.quick_s * 1000))
        gap, grace = self._call("beat", at_ms, counter, epoch, run_id, "1" if drift else "", *times, *rules)
        return Beat(gap=bool(gap), grace_until_ms=int(grace))

    def reap(self, limit: int = BATCH) -> list[Reaped]:
        """Put up to `limit` jobfiles whose lease has run out back into the queue; call again while it returns `limit`."""
        _, *flat = self._call("reap", min(limit, BATCH))
        return [Reaped(job_id=i, worker=w, node=n) for i, w, n in zip(flat[::3], flat[1::3], flat[2::3], strict=True)]

    def claim(self, *args: object) -> list[Any]:
        return list(self._call("claim", *args))

    def renew(self, *args: object) -> list[str]:
        return list(self._call("renew", *args))

    def take_back(self, job_id: str, token: str) -> tuple[bool, int]:
        """Whether the caller holds the jobfile (again), and for how many ms it is safe to run."""
        held, safe_ms = self._call("take_back", job_id, token)
        return bool(held), int(safe_ms)

    def settle(self, *args: object) -> tuple[str, str]:
        word, state = self._call("settle", *args)
        return str(word), str(state)

    def give_back(self, job_id: str, token: str, free: bool, reason: str, elapsed_ms: int | None) -> bool:
        """Hand a jobfile back to the head of its lane; False if the claim was not the caller's."""
        return bool(self._call("give_back", job_id, token, int(free), reason, "" if elapsed_ms is None else elapsed_ms))

    def cancel(self, job_ids: Sequence[str]) -> list[str]:
        return self._in_batches("cancel", job_ids)

    def retry(self, job_ids: Sequence[str]) -> list[str]:
        return self._in_batches("retry", job_ids)

    def _in_batches(self, verb: str, ids: Sequence[str]) -> list[str]:
        out: list[str] = []
        for start in range(0, len(ids), BATCH):
            out += self._call(verb, *ids[start : start + BATCH])
        return out

    def relane(self, lanes: Sequence[tuple[str, str]]) -> int:
        """Move waiting jobfiles to other lanes; returns how many moved."""
        moved = 0
        for start in range(0, len(lanes), BATCH):
            flat = [x for pair in lanes[start : start + BATCH] for x in pair]
            moved += int(self._call("relane", *flat))
        return moved

    def campaign(self, name: str, options: dict[str, str]) -> tuple[str, bool]:
        """Create or change a campaign; returns its number and whether it is new."""
        number, new = self._call("campaign", name, *_flat(options))
        return str(number), bool(new)

    def enqueue(self, *args: object) -> list[str]:
        return list(self._call("enqueue", *args))

    def pause(self, campaign_number: str, reason: str) -> bool:
        """Pause a campaign, or resume it with an empty reason; whether that changed anything."""
        return bool(self._call("pause", campaign_number, reason))

    def forget(self, name: str) -> None:
        """Remove an ended campaign's records; raises BrokerError while jobfiles of it wait or run."""
        while left := int(self._call("forget", name, BATCH)):
            if left < 0:
                raise BrokerError(f"campaign {name} has not ended; cancel its jobfiles first: nunatak cancel --campaign {name}")

    def leave(self, worker: str) -> None:
        self._call("leave", worker)

    # -- blocks ---------------------------------------------------------------------------------------------------------------------

    def intend(
        self, block_id: str, fields: Mapping[str, str], site: str, seen: int | None, max_live: int | None, per_hour: int | None
    ) -> str:
        limits = ["" if limit is None else limit for limit in (seen, max_live, per_hour)]
        return str(self._call("intend", block_id, site, *limits, *_flat(fields)))

    def record_block(self, block_id: str, fields: Mapping[str, str]) -> str:
        return str(self._call("record_block", block_id, *_flat(fields)))

    def record_site(self, name: str, fields: Mapping[str, str]) -> None:
        self._call("record_site", name, *_flat(fields))

    def forgive(self, node: str, block: str) -> int:
        return int(self._call("forgive", node, block))

    def drain(self, block_ids: Sequence[str]) -> list[str]:
        return self._in_batches("drain", block_ids)
