"""A simulated node: its network, its view of the shared filesystem, its guard, and the worker that may be stopped, killed and replaced."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis import exceptions
from schedule_clock import Fiber
from schedule_guard import Guard
from schedule_server import Epoch, Request
from schedule_supervisor import TIMEOUT_S
from schedule_worker import Worker

from broker.lease import Holder
from broker.stillness import Look

if TYPE_CHECKING:
    from schedule_world import World

#: After so long without a word of its worker the guard kills it (LEASES rule 15).
_SILENT_S = 90.0


@dataclass(eq=False)
class Call:
    """A question that its fiber waits for, until it is answered or given up."""

    worker: Worker
    fiber: Fiber
    over: bool = False

    def answer(self, value: Any) -> None:
        if not self.over and self.worker.alive:
            self.over = True
            self.fiber.answer(value)


class Wire:
    """The network between a node and the brokers."""

    def __init__(self, node: "Node") -> None:
        self._node, self._world = node, node.world
        #: Numbers of the epochs that are not reached.
        self.cut: set[int] = set()
        #: Happens when the next answer arrives, before it is read.
        self.trap: Callable[[], object] | None = None
        self._stuck: list[tuple[Epoch, Request, Call]] = []

    def reach(self, worker: Worker, fiber: Fiber) -> Epoch | None:
        """Called in a fiber: who answers at the address, as this node reads it; None after a while if nobody does."""
        epoch = self._node.file.address()
        is_open = epoch.number not in self.cut
        found = epoch if is_open and epoch.answers and self._node.file.state != "hang" else None
        if found is not None:
            return found
        refused_s = 0.1 if is_open and not epoch.up else TIMEOUT_S
        call = Call(worker, fiber)
        worker.after(refused_s, lambda: call.answer(None))
        return fiber.wait()  # type: ignore[no-any-return]

    def ask(self, worker: Worker, fiber: Fiber, epoch: Epoch, sha: str, args: tuple[object, ...]) -> Any:
        """Called in a fiber: the reply, or the error of a line that is dead or silent. What was sent may be carried out all the same."""
        call = Call(worker, fiber)
        request = Request(sha=sha, args=args, on_reply=lambda fetch: self._reply(epoch, call, fetch))
        if epoch.number not in self.cut:
            self._world.clock.after(self._world.transit_s(), lambda: self._arrive(epoch, request, call))
        elif self._world.dice.random() < 0.5:
            self._stuck.append((epoch, request, call))
        worker.after(TIMEOUT_S, lambda: call.answer(exceptions.TimeoutError("no answer")))
        return fiber.wait()

    def _arrive(self, epoch: Epoch, request: Request, call: Call) -> None:
        if not epoch.arrive(request):
            self._to_worker(call, lambda: exceptions.ConnectionError("refused"))

    def _reply(self, epoch: Epoch, call: Call, fetch: Callable[[], Any]) -> None:
        if self._world.dice.random() < 0.97:
            wait_s = self._world.transit_s()
            self._world.clock.after(wait_s, lambda: self._to_worker(call, fetch) if epoch.number not in self.cut else None)

    def _to_worker(self, call: Call, fetch: Callable[[], Any]) -> None:
        trap, self.trap = self.trap, None
        if trap is not None:
            trap()
        # What has arrived is read before anybody looks at the time.
        self._node.when_running(call.worker, lambda: call.over or call.answer(fetch()), first=True)

    def heal(self) -> None:
        """The network resends what was not received, whether or not anybody waits for it still."""
        self.cut.clear()
        stuck, self._stuck = self._stuck, []
        for epoch, request, call in stuck:
            self._world.clock.after(self._world.transit_s(), lambda e=epoch, r=request, c=call: self._arrive(e, r, c))  # type: ignore[misc]


class FileView:
    """The heartbeat's folder as this node sees it: 'ok', 'hang', 'error', or 'stale' (reads come from a cache, writes fail)."""

    def __init__(self, world: "World", node: "Node") -> None:
        self._world, self._node = world, node
        self.state = "ok"
        self._cached = world.heartbeats.read()
        self._epoch = world.address()
        self._waiting: list[Callable[[], object]] = []

    def address(self) -> Epoch:
        """What the address file says, or said when it could be read."""
        if self.state == "ok":
            self._epoch = self._world.address()
        return self._epoch

    def look(self, worker: Worker, then: Callable[[Look | OSError], object]) -> None:
        """A read and then a write; each may hang, and then comes to its end when the filesystem does."""
        began, dice, clock = self._world.clock.now, self._world.dice, self._world.clock
        slow_s = 2.0 if dice.random() < 0.9 else 30.0

        def end(seen: Look | OSError) -> None:
            self._node.when_running(worker, lambda: then(seen))

        def read() -> None:
            if self.state == "error":
                end(OSError("cannot read"))
                return
            if self.state == "ok":
                self._cached = self._world.heartbeats.read()
            counter = self._cached
            clock.after(dice.uniform(0, slow_s), lambda: self._when_there(lambda: write(counter)))

        def write(counter: int) -> None:
            failed = self.state == "error" or (self.state == "stale" and self._world.rules.proof)
            end(OSError("cannot write") if failed else Look(began=began, counter=counter, wrote=True))

        clock.after(dice.uniform(0, slow_s), lambda: self._when_there(read))

    def _when_there(self, step: Callable[[], object]) -> None:
        if self.state == "hang":
            self._waiting.append(step)
        else:
            step()

    def heal(self) -> None:
        self.state = "ok"
        waiting, self._waiting = self._waiting, []
        for step in waiting:
            step()


class Node:
    def __init__(self, world: "World", name: str) -> None:
        self.world, self.name = world, name
        self.slots = 1
        self.holder = Holder(worker=f"b1.{name}", node=name, block="b1")
        self.stopped = False
        self._stops = 0
        self._backlog: list[tuple[Worker, Callable[[], object]]] = []
        self._heard_first = 0
        #: Happens when its next claim is answered.
        self.trap: Callable[[], object] | None = None
        self.wire = Wire(self)
        self.file = FileView(world, self)
        self.guard = Guard(world, name, self._tell)
        self.worker: Worker | None = Worker(self)

    def _tell(self, what: str, token: str) -> None:
        worker = self.worker
        if worker is not None:
            self.when_running(worker, lambda: worker.heard(what, token))

    def when_running(self, worker: Worker, step: Callable[[], object], *, first: bool = False) -> None:
        """Now, or when the worker goes on; never if it has died."""
        if not worker.alive:
            return
        if not self.stopped:
            step()
        elif first:
            self._backlog.insert(self._heard_first, (worker, step))
            self._heard_first += 1
        else:
            self._backlog.append((worker, step))

    def claimed(self) -> None:
        trap, self.trap = self.trap, None
        if trap is not None:
            trap()

    # -- what happens to it -----------------------------------------------------------------------------------------------------------

    def stop_worker(self, seconds: float) -> None:
        """SIGSTOP, until it goes on, or the guard has heard nothing of it for too long."""
        if self.stopped or self.worker is None:
            return
        self.stopped = True
        self._stops += 1
        stop = self._stops
        self.world.clock.after(min(seconds, _SILENT_S), lambda: self._resume(stop, killed=seconds > _SILENT_S))

    def _resume(self, stop: int, *, killed: bool) -> None:
        if not self.stopped or stop != self._stops:
            return
        if killed:
            self.kill_worker()
            return
        self.stopped, self._heard_first = False, 0
        backlog, self._backlog = self._backlog, []
        for worker, step in backlog:
            self.when_running(worker, step)

    def kill_worker(self) -> None:
        """The next one adopts what runs."""
        worker, self.worker = self.worker, None
        self.stopped, self._heard_first = False, 0
        self._backlog.clear()
        if worker is not None:
            worker.die()
            self.world.clock.after(self.world.dice.choice((0.5, 3.0, 30.0)), self._start_worker)

    def kill_guard(self) -> None:
        self.guard.die()
        self.guard = Guard(self.world, self.name, self._tell)
        self.kill_worker()

    def _start_worker(self) -> None:
        if self.worker is None:
            self.worker = Worker(self)
