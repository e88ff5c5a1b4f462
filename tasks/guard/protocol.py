"""What guard and worker say to each other: newline-delimited JSON objects over a unix socket, as values.

Worker to guard:  hello alive start extend thaw end forget goodbye
Guard to worker:  welcome started start_failed froze thawed ended warn leave

`hello` is a worker's first word and `welcome` its answer. Names may be no UTF-8: they are text with surrogates, which JSON keeps.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tasks.guard import log

Message = Mapping[str, Any]

HELLO = "hello"
ALIVE = "alive"
START = "start"
EXTEND = "extend"
THAW = "thaw"
END = "end"
FORGET = "forget"
GOODBYE = "goodbye"

WELCOME = "welcome"
STARTED = "started"
START_FAILED = "start_failed"
FROZE = "froze"
THAWED = "thawed"
ENDED = "ended"
#: The end is near: claim nothing more, and let what runs go on.
WARN = "warn"
LEAVE = "leave"

#: Why an attempt was frozen: the dead-man's switch ran out.
DEADLINE = "deadline"


def encode(kind: str, values: Message | None = None) -> bytes:
    """One line of the protocol."""
    return json.dumps({"kind": kind, **(values or {})}, separators=(",", ":")).encode() + b"\n"


def _values(record: "StartOrder | Ending | Entry") -> dict[str, Any]:
    # Not `asdict`: that copies what is inside, at a quarter of the cost of a start.
    return {name: getattr(record, name) for name in record.__slots__}


class Lines:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The messages that `data` completes."""
        self._rest += data
        *lines, rest = self._rest.split(b"\n")
        self._rest = rest
        return [message for line in lines if (message := _decode(line)) is not None]


def _decode(line: bytearray) -> dict[str, Any] | None:
    try:
        message = json.loads(line)
    except ValueError as error:
        log.error("protocol.not_json bytes=%d error=%s", len(line), error)
        return None
    return message if isinstance(message, dict) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class StartOrder:
    """One jobfile to be started."""

    #: The claim's secret.
    token: str
    #: The jobfile's id.
    id: str
    attempt: int
    argv: tuple[str, ...]
    cwd: str
    stdout: str
    stderr: str
    #: Added to the environment, over what the guard sets itself.
    environ: dict[str, str] = field(default_factory=dict)
    umask: int | None = None
    #: CLOCK_BOOTTIME at which its processes must stand still; None: never.
    deadline: float | None = None
    #: Where its result record goes; None: none is written.
    record: str | None = None
    #: The share of the node that it takes; None: one slot's.
    share: float | None = None
    #: The signal that warns it before its node's end; None: it wants none.
    checkpoint: int | None = None
    #: It has so long from the warning to its end.
    grace_s: float = 60.0
    #: Whatever the next worker needs to carry on; the guard does not look into it.
    blob: Any = None

    def to_message(self) -> dict[str, Any]:
        return _values(self)

    @classmethod
    def from_message(cls, message: Message) -> Self:
        values = {name: message[name] for name in cls.__slots__ if name in message}
        return cls(**{**values, "argv": tuple(values["argv"])})


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a jobfile ended, as the guard saw it."""

    #: None if a signal ended it.
    exit_code: int | None
    signal: int | None
    #: Wall clock from its start to its end, frozen time included.
    elapsed_s: float
    #: For how long of it it stood still.
    frozen_s: float
    #: User and system time of the whole tree.
    cpu_s: float
    #: The largest sum over the tree that was seen, sampled about once a second; never below the largest process.
    max_rss_mb: float
    #: Processes that had to be killed after the jobfile's own exit.
    escaped: int
    frozen_once: bool
    #: Why the guard ended it; None if it ended by itself.
    ended_for: str | None
    #: Unix seconds.
    ended_unix: float
    #: Its result record is on disk.
    recorded: bool

    def to_message(self) -> dict[str, Any]:
        return _values(self)

    @classmethod
    def from_message(cls, message: Message) -> Self:
        return cls(**{name: message[name] for name in cls.__slots__})


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A jobfile that the guard has, as a new worker is told."""

    token: str
    id: str
    attempt: int
    blob: Any
    pid: int
    started_boottime: float
    #: "running", "frozen" or "ended".
    state: str
    #: CLOCK_BOOTTIME of its dead-man's switch.
    deadline: float | None
    record: str | None
    #: With state "ended" only.
    ending: Ending | None

    def to_message(self) -> dict[str, Any]:
        ending = None if self.ending is None else self.ending.to_message()
        return {**_values(self), "ending": ending}

    @classmethod
    def from_message(cls, message: Message) -> Self:
        ending = message["ending"]
        values = {name: message[name] for name in cls.__slots__}
        return cls(**{**values, "ending": None if ending is None else Ending.from_message(ending)})
