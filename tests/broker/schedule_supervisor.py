"""Who minds the simulated server: ping, file, beat, with whatever comes in between; and who takes it over on another host."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from schedule_clock import Clock
from schedule_rules import Rules
from schedule_server import Epoch, Request

from broker.beater import clocks_drift
from broker.settings import LeaseSettings

#: Losses do not end a jobfile: it is to be fought over for the whole schedule.
SETTINGS = LeaseSettings(max_losses=1000)
TIMEOUT_S = 10.0
#: As broker/start.py has it.
_STILL_S = 200.0


class Heartbeats:
    """The heartbeat file as other hosts see it: each write after a while, the last one stays."""

    def __init__(self, clock: Clock, dice: random.Random) -> None:
        self._clock, self._dice = clock, dice
        #: Not over 60 s, what the wait for stillness allows for.
        self._late_s = dice.choice((0.0, 5.0, 30.0, 60.0))
        #: When it is seen, and the counter.
        self._writes: list[tuple[float, int]] = [(0.0, 0)]

    def write(self, counter: int) -> None:
        self._writes = [*self._writes[-20:], (self._clock.now + self._dice.uniform(0, self._late_s), counter)]

    def read(self) -> int:
        return next((counter for at, counter in reversed(self._writes) if at <= self._clock.now), self._writes[0][1])


class Hosts(Protocol):
    """What supervisors and movers see of the world."""

    clock: Clock
    dice: random.Random
    rules: Rules
    heartbeats: Heartbeats
    #: The last epoch that anybody has begun.
    newest: int

    def transit_s(self) -> float: ...
    def note(self, *words: object) -> None: ...
    def begin_epoch(self, older: Epoch) -> Epoch: ...
    def announce(self, epoch: Epoch) -> None: ...


class Supervisor:
    """One process; the server goes on without it."""

    def __init__(self, hosts: Hosts, epoch: Epoch) -> None:
        self._hosts, self._epoch = hosts, epoch
        self.alive, self.stalled_until = True, 0.0
        #: For how long it stalls between its last look for a later epoch and its next beat, which is its last word.
        self.hold_s = 0.0
        self._times: tuple[float, float] | None = None
        self._counter = -1
        self._round = 0
        self._reaping_since: float | None = None
        epoch.supervisors.append(self)
        self._then(0.0, self._begin_round)
        self._then(hosts.dice.uniform(0, SETTINGS.reap_every_s), self._reap)

    def die(self) -> None:
        self.alive = False
        self._epoch.supervisors.remove(self)

    def _then(self, seconds: float, step: Callable[[], object]) -> None:
        self._hosts.clock.after(seconds, lambda: self._go_on(step))

    def _go_on(self, step: Callable[[], object]) -> None:
        """The next step, as soon as the process runs and its disk answers."""
        if not self.alive:
            return
        if self._hosts.clock.now < self.stalled_until:
            self._hosts.clock.at(self.stalled_until, lambda: self._go_on(step))
        else:
            step()

    # -- a beat ---------------------------------------------------------------------------------------------------------------------

    def _begin_round(self) -> None:
        self._epoch.when_disk(partial(self._go_on, self._ping))

    def _ping(self) -> None:
        if self._leaves():
            return
        epoch, now = self._epoch, self._hosts.clock.now
        self._round += 1
        if not epoch.up and now >= epoch.restart_at:
            epoch.start()
            self._hosts.note("server restarted", epoch.number)
        if not epoch.answers:
            self._then(TIMEOUT_S if epoch.up else 1.0, self._begin_round)
            return
        times = epoch.now_ms() / 1000, now
        drift = self._times is not None and clocks_drift((self._times[0], times[0]), (self._times[1], times[1]))
        self._then(self._hosts.transit_s(), lambda: epoch.when_disk(lambda: self._go_on(lambda: self._write(times, epoch.run_id, drift))))

    def _write(self, times: tuple[float, float], run_id: str, drift: bool) -> None:
        self._counter = max(self._hosts.heartbeats.read(), self._epoch.counter, self._counter) + 1
        self._hosts.heartbeats.write(self._counter)
        dice = self._hosts.dice
        fsync_s = dice.uniform(0, 0.2) if dice.random() < 0.95 else dice.choice((5.0, 25.0, 40.0, 57.0))
        self._then(fsync_s, lambda: self._send(times, run_id, drift))

    def _send(self, times: tuple[float, float], run_id: str, drift: bool) -> None:
        if self._leaves():
            return
        hold_s, self.hold_s = self.hold_s, 0.0
        self._then(hold_s, lambda: self._beat(times, run_id, drift, last=hold_s > 0))

    def _beat(self, times: tuple[float, float], run_id: str, drift: bool, last: bool) -> None:
        epoch, at = self._epoch, times[0]
        if not self._hosts.rules.anchor:
            at = epoch.now_ms() / 1000
        times_ms = [round(s * 1000) for s in (SETTINGS.lease_s, SETTINGS.margin_s, SETTINGS.beat_fresh_s)]
        rules = SETTINGS.max_losses, round(SETTINGS.quick_s * 1000)
        args = int(at * 1000), self._counter, epoch.number, run_id, "1" if drift else "", *times_ms, *rules
        epoch.counter = max(epoch.counter, self._counter)
        round_ = self._round
        request = Request(sha=epoch.scripts.sha("beat"), args=("", *args), on_reply=lambda _: self._beaten(times, round_))
        self._hosts.clock.after(self._hosts.transit_s(), lambda: epoch.arrive(request))
        if last:
            self.die()
        # Unless it was answered meanwhile, it comes to nothing and is tried again.
        self._then(TIMEOUT_S, lambda: self._next(round_, 2.0))

    def _beaten(self, times: tuple[float, float], round_: int) -> None:
        if self.alive and round_ == self._round:
            self._times = times
            self._next(round_, times[1] + SETTINGS.beat_every_s - self._hosts.clock.now)

    def _next(self, round_: int, seconds: float) -> None:
        if round_ == self._round:
            self._round += 1
            self._then(max(0.0, seconds), self._begin_round)

    def _leaves(self) -> bool:
        """A later epoch was begun: the server is stopped, and its supervisor ends."""
        if not (self._hosts.rules.superseded and self._hosts.newest > self._epoch.number):
            return False
        self._hosts.note("server superseded", self._epoch.number)
        if self._epoch.up:
            self._epoch.die()
        self.die()
        return True

    # -- reaping --------------------------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        self._then(SETTINGS.reap_every_s, self._reap)
        epoch, now = self._epoch, self._hosts.clock.now
        if self._times is None or not epoch.up:
            return
        if self._reaping_since is None or now - self._reaping_since > TIMEOUT_S:
            self._reaping_since = now
            epoch.arrive(Request(sha=epoch.scripts.sha("reap"), args=("", 100), on_reply=self._reaped))

    def _reaped(self, _reply: object) -> None:
        self._reaping_since = None


@dataclass
class Mover:
    """A start of the broker on another host, which cannot reach the present one: it watches the file, then takes over."""

    hosts: Hosts
    older: Epoch
    done: bool = False
    _first: int = field(default=0)

    def __post_init__(self) -> None:
        self._first = self.hosts.heartbeats.read()
        self._end = self.hosts.clock.now + _STILL_S
        self._watch()

    def _moves(self) -> bool:
        if self.hosts.heartbeats.read() == self._first and self.hosts.newest == self.older.number:
            return False
        self.done = True
        return True

    def _watch(self) -> None:
        if self._moves():
            return
        if self.hosts.clock.now >= self._end:
            self._copy()
        else:
            self.hosts.clock.after(5.0, self._watch)

    def _copy(self) -> None:
        epoch = self.hosts.begin_epoch(self.older)
        self.hosts.note("epoch begun", epoch.number)
        self.hosts.clock.after(self.hosts.dice.choice((0.0, 1.0, 20.0)), lambda: self._start(epoch))

    def _start(self, epoch: Epoch) -> None:
        self.done = True
        if self.hosts.heartbeats.read() != self._first:
            # The folder is removed again.
            self.hosts.newest = self.older.number
            self.hosts.note("epoch given up", epoch.number)
            return
        epoch.start()
        Supervisor(self.hosts, epoch)
        self.hosts.announce(epoch)
        self.hosts.note("server moved", epoch.number)
