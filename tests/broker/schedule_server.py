"""The server of one epoch of the broker: a database of a real server that is asked when, and only if, the simulated one would act.

What it did is known by its commands, which hold the time: an older state, or a copy of it, is made by replaying them. They are sent
together as late as possible: a round trip takes longer than all the rest.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lease_server import LeaseServer
from redis.exceptions import ResponseError
from schedule_clock import Clock

from broker.scripts import Scripts

if TYPE_CHECKING:
    from schedule_supervisor import Supervisor

#: So that server times look like times.
_START_MS = 1_700_000_000_000


@dataclass(eq=False)
class Request:
    """A script's call on its way."""

    sha: str
    args: tuple[object, ...]
    #: Told the reply, which is an exception if it is an error; None: nobody waits for it.
    on_reply: Callable[[Any], object] | None = None


@dataclass(eq=False)
class Done:
    """A script's call that the server has carried out, at a place in its history."""

    packed: bytes
    reply: Any = None


class Database(LeaseServer):
    """One database of the real server, with commands sent in batches."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._connection = client.connection_pool.get_connection()
        self._pending: list[Done] = []
        self._major = int(client.info("server")["redis_version"].split(".")[0])
        self._shas: dict[str, str] = {}

    def info(self, _section: str) -> dict[str, str]:
        return {"redis_version": f"{self._major}.0"}

    def script_load(self, text: str) -> str:
        if text not in self._shas:
            self._shas[text] = self.client.script_load(text)
        return self._shas[text]

    def empty(self) -> None:
        self._pending.clear()
        self.client.flushdb()

    def do(self, sha: str, args: tuple[object, ...]) -> Done:
        """Noted; carried out at the next `flush`."""
        done = Done(packed=b"".join(self._connection.pack_command("EVALSHA", sha, 0, *args)))
        self._pending.append(done)
        return done

    def replay(self, history: list[Done]) -> None:
        self._pending += [Done(packed=d.packed) for d in history]

    def call(self, sha: str, args: tuple[object, ...]) -> Any:
        return self.reply(self.do(sha, args))

    def flush(self) -> None:
        pending, self._pending = self._pending, []
        for start in range(0, len(pending), 200):
            chunk = pending[start : start + 200]
            self._connection.send_packed_command([b"".join(d.packed for d in chunk)])
            for done in chunk:
                try:
                    done.reply = self._connection.read_response()
                except ResponseError as error:
                    done.reply = error

    def reply(self, done: Done) -> Any:
        if done.reply is None:
            self.flush()
        return done.reply


class Epoch:
    """A server, its host's disk and clock, and who minds it."""

    def __init__(self, number: int, clock: Clock, dice: random.Random, database: Database, *, always: bool) -> None:
        self.number, self.database = number, database
        self.scripts = Scripts(database, clock=self.now_ms)  # type: ignore[arg-type]
        self._clock, self._dice, self._always = clock, dice, always
        self.up, self.hung, self.disk_hangs = True, False, False
        self._hangs_since = 0.0
        self.run = 1
        #: Of its host's clock, seconds.
        self.offset = dice.choice((0.0, 0.0, dice.uniform(-5, 5), dice.uniform(-500, 500)))
        self.counter = 0
        #: Nobody can start it, or its supervisor, before.
        self.restart_at = self.unminded_until = 0.0
        self.supervisors: list[Supervisor] = []
        self.history: list[tuple[float, Done]] = []
        self._queue: list[Request] = []
        self._at_disk: list[Callable[[], object]] = []
        #: Carried out, and not answered before the disk has it.
        self._unsynced: list[tuple[Request, Done]] = []

    def now_ms(self) -> int:
        return _START_MS + round((self._clock.now + self.offset) * 1000)

    @property
    def run_id(self) -> str:
        return f"epoch {self.number} run {self.run}"

    @property
    def answers(self) -> bool:
        return self.up and not self.hung and not (self._always and self.disk_hangs)

    def arrive(self, request: Request) -> bool:
        """A request is there: carried out, or kept while the server hangs; False: nobody listens."""
        if not self.up:
            return False
        if self.answers:
            self._answer(request, self._act(request))
        elif not self.hung and not self._unsynced:
            self._unsynced.append((request, self._act(request)))
        else:
            self._queue.append(request)
        return True

    def _act(self, request: Request) -> Done:
        done = self.database.do(request.sha, (self.now_ms(), *request.args[1:]))
        self.history.append((self._clock.now, done))
        return done

    def _answer(self, request: Request, done: Done) -> None:
        if request.on_reply is not None:
            request.on_reply(lambda: self.database.reply(done))

    def go_on(self) -> None:
        """It may hang no longer: what came meanwhile is carried out now, however late."""
        if not self.answers:
            return
        unsynced, self._unsynced = self._unsynced, []
        queue, self._queue = self._queue, []
        for request, done in unsynced:
            self._answer(request, done)
        for request in queue:
            self.arrive(request)

    # -- its ends -------------------------------------------------------------------------------------------------------------------

    def die(self) -> None:
        """SIGKILL. What it was about to sync may be on the disk or not."""
        lost = len(self._unsynced) if self._dice.random() < 0.5 else 0
        self.up, self.hung = False, False
        self._queue.clear()
        self._unsynced.clear()
        if lost:
            self._forget_after(len(self.history) - lost)

    def crash(self) -> None:
        """Its host is gone, with whatever was not synced."""
        self.die()
        if not self._always:
            self._forget_after(self._synced())

    def _synced(self) -> int:
        """How much of the history is on the disk for sure."""
        if self._always:
            return len(self.history) - (len(self._unsynced) if self._dice.random() < 0.5 else 0)
        last = (self._hangs_since if self.disk_hangs else self._clock.now) - self._dice.uniform(0, 2)
        return sum(at <= last for at, _ in self.history)

    def _forget_after(self, length: int) -> None:
        if length < len(self.history):
            self.database.flush()
            self.history = _without_idle(self.history[:length])
            self.database.empty()
            self.database.replay([d for _, d in self.history])

    def start(self) -> None:
        self.up = True
        self.run += 1

    def when_disk(self, step: Callable[[], object]) -> None:
        """Go on with it now, or when the host's disk hangs no longer."""
        if self.disk_hangs:
            self._at_disk.append(step)
        else:
            step()

    def disk_breaks(self) -> None:
        self.disk_hangs, self._hangs_since = True, self._clock.now

    def disk_heals(self) -> None:
        self.disk_hangs = False
        steps, self._at_disk = self._at_disk, []
        self.go_on()
        for step in steps:
            step()

    def copy_of(self, older: "Epoch") -> None:
        """Begin with what another host finds of an older epoch's data."""
        self.counter = older.counter
        older.database.flush()
        self.history = _without_idle(older.history[: older._synced()])
        self.database.replay([d for _, d in self.history])


def _without_idle(history: list[tuple[float, Done]]) -> list[tuple[float, Done]]:
    """What changed nothing need not be replayed."""
    return [(at, d) for at, d in history if not _is_idle(d.reply)]


def _is_idle(reply: Any) -> bool:
    """A refusal, or a reap that found nothing."""
    return isinstance(reply, Exception) or (isinstance(reply, list) and len(reply) == 1 and str(reply[0]).isdecimal())
