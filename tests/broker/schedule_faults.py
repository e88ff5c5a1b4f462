"""What goes wrong in a schedule: each fault ends by itself after a while, drawn like everything else from the schedule's seed."""

from typing import TYPE_CHECKING

from schedule_supervisor import Mover, Supervisor

if TYPE_CHECKING:
    from schedule_node import Node
    from schedule_server import Epoch
    from schedule_world import World

#: Around the protocol's own times: a beat's freshness, three of it, the lease, the lease and its margin.
_SECONDS = (3.0, 12.0, 30.0, 55.0, 70.0, 110.0, 190.0, 230.0, 270.0, 320.0, 400.0, 700.0)

#: Names of the methods of Faults. A theme is what a rule is for; 'all' is everything.
THEMES = {
    "silence": ("cut", "server_dies", "supervisor_dies", "server_hangs", "worker_killed", "file_hangs", "disk_hangs", "supervisor_stalls"),
    "stops": ("cut", "worker_stops", "stopped_and_cut", "stopped_and_cut", "server_hangs", "worker_killed"),
    "stale": ("cut_from_everything", "cut_from_everything", "file_stale", "file_errors", "file_hangs", "server_dies"),
    "crashes": ("cut", "crash_after_claim", "crash_after_claim", "host_crashes", "server_dies"),
    "late_beats": ("move_from_a_stalled",),
    "moves": ("move", "move_from_a_stalled", "disk_hangs", "left_with_the_old", "left_with_the_old", "host_crashes", "move_with_crash"),
}
THEMES["all"] = tuple(sorted({fault for faults in THEMES.values() for fault in faults} | {"give_back", "guard_dies", "clock_steps"}))


class Faults:
    def __init__(self, world: "World", theme: str) -> None:
        self._world, self._dice = world, world.dice
        self._names = THEMES[theme]
        self._gap_s = 600 if theme == "late_beats" else world.dice.choice((40, 80, 150, 250))
        self.ended = False
        self._mover: Mover | None = None
        self._next()

    def _next(self) -> None:
        self._world.clock.after(self._dice.uniform(1, 2 * self._gap_s), self._strike)

    def _strike(self) -> None:
        if self.ended:
            return
        name = self._dice.choice(self._names)
        seconds = self._dice.choice(_SECONDS) + self._dice.uniform(0, 5)
        node, epoch = self._victim(), self._world.epochs[-1]
        self._world.note("FAULT", name, node.name, f"{seconds:.0f} s")
        getattr(self, name)(node, epoch, seconds)
        self._world.check_places(epoch)
        self._next()

    def _victim(self) -> "Node":
        """Rather one that runs something: the others have nothing to lose."""
        busy = [n for n in self._world.nodes if n.guard.attempts]
        return self._dice.choice(busy if busy and self._dice.random() < 0.7 else self._world.nodes)

    def is_moving(self) -> bool:
        return self._mover is not None and not self._mover.done

    # -- nodes ----------------------------------------------------------------------------------------------------------------------

    def cut(self, node: "Node", _epoch: "Epoch", seconds: float) -> None:
        """From all brokers, or from the newest only."""
        numbers = {e.number for e in self._world.epochs}
        node.wire.cut |= numbers if self._dice.random() < 0.7 else {max(numbers)}
        self._world.clock.after(seconds, node.wire.heal)

    def cut_from_everything(self, node: "Node", epoch: "Epoch", seconds: float) -> None:
        """Also from the filesystem, whose cache it goes on reading."""
        self.cut(node, epoch, seconds)
        self.file_stale(node, epoch, seconds)

    def _file(self, node: "Node", state: str, seconds: float) -> None:
        node.file.heal()
        node.file.state = state
        self._world.clock.after(seconds, node.file.heal)

    def file_stale(self, node: "Node", _epoch: "Epoch", seconds: float) -> None:
        self._file(node, "stale", seconds)

    def file_hangs(self, node: "Node", _epoch: "Epoch", seconds: float) -> None:
        self._file(node, "hang", seconds)

    def file_errors(self, node: "Node", _epoch: "Epoch", seconds: float) -> None:
        self._file(node, "error", seconds)

    def worker_stops(self, node: "Node", _epoch: "Epoch", seconds: float) -> None:
        node.stop_worker(seconds)

    def stopped_and_cut(self, node: "Node", epoch: "Epoch", seconds: float) -> None:
        """Stopped with an answer unread, and cut off when it goes on."""

        def trap() -> None:
            node.stop_worker(self._dice.uniform(60, 89))
            self.cut(node, epoch, 350.0 + seconds)

        node.wire.trap = trap

    def left_with_the_old(self, node: "Node", epoch: "Epoch", seconds: float) -> None:
        """It knows the broker of now only, wherever that moves."""
        node.wire.cut |= set(range(epoch.number + 1, self._world.most_epochs + 1))
        self._world.clock.after(400.0 + seconds, node.wire.heal)
        self.file_stale(node, epoch, 400.0 + seconds)

    def worker_killed(self, node: "Node", _epoch: "Epoch", _seconds: float) -> None:
        node.kill_worker()

    def guard_dies(self, node: "Node", _epoch: "Epoch", _seconds: float) -> None:
        node.kill_guard()

    def give_back(self, node: "Node", _epoch: "Epoch", _seconds: float) -> None:
        for token in list(node.guard.attempts):
            node.guard.end(token, "leave")

    # -- the server and its host ----------------------------------------------------------------------------------------------------

    def server_dies(self, _node: "Node", epoch: "Epoch", seconds: float) -> None:
        epoch.restart_at = self._world.clock.now + seconds
        epoch.die()

    def server_hangs(self, _node: "Node", epoch: "Epoch", seconds: float) -> None:
        def wake(run: int = epoch.run) -> None:
            if epoch.run == run:
                epoch.hung = False
                epoch.go_on()

        epoch.hung = epoch.up
        self._world.clock.after(seconds, wake)

    def supervisor_dies(self, _node: "Node", epoch: "Epoch", seconds: float) -> None:
        for supervisor in list(epoch.supervisors):
            supervisor.die()
        epoch.unminded_until = self._world.clock.now + seconds

    def supervisor_stalls(self, _node: "Node", epoch: "Epoch", seconds: float) -> None:
        """Often for a little less than a beat stays fresh; somebody may start another one meanwhile."""
        short_s = self._dice.choice((20.0, 40.0, 52.0, 55.0, 58.0, 59.5))
        for supervisor in epoch.supervisors:
            supervisor.stalled_until = self._world.clock.now + (short_s if self._dice.random() < 0.7 else seconds)
        if self._dice.random() < 0.1:
            Supervisor(self._world, epoch)

    def disk_hangs(self, _node: "Node", epoch: "Epoch", seconds: float) -> None:
        epoch.disk_breaks()
        self._world.clock.after(seconds, epoch.disk_heals)

    def host_crashes(self, _node: "Node", epoch: "Epoch", seconds: float) -> None:
        for supervisor in list(epoch.supervisors):
            supervisor.die()
        epoch.unminded_until = epoch.restart_at = self._world.clock.now + seconds
        epoch.crash()

    def crash_after_claim(self, _node: "Node", epoch: "Epoch", seconds: float) -> None:
        """A power failure just after somebody was given a jobfile, and its end a moment later; who has the jobfile does not hear of it."""
        for node in self._world.nodes:
            node.trap = lambda node=node: self._crash_and_cut(node, epoch, seconds)  # type: ignore[misc]

    def _crash_and_cut(self, node: "Node", epoch: "Epoch", seconds: float) -> None:
        self.host_crashes(node, epoch, self._dice.uniform(1, 20))
        self.cut(node, epoch, seconds)

    def clock_steps(self, _node: "Node", epoch: "Epoch", _seconds: float) -> None:
        """Of the server's host, by less than the margin forward, by any time back."""
        epoch.offset += self._dice.choice((-1000, -100, -30, -3, 3, 20, 40))

    # -- moving ---------------------------------------------------------------------------------------------------------------------

    def move(self, _node: "Node", epoch: "Epoch", seconds: float) -> None:
        """A command on a host that cannot reach the broker; it takes it over if the heartbeat stands still, as with a disk that hangs."""
        if self.is_moving() or epoch.number >= self._world.most_epochs:
            return
        self._mover = Mover(self._world, epoch)
        self.left_with_the_old(_node, epoch, seconds)
        if self._dice.random() < 0.7:
            self.disk_hangs(_node, epoch, 230.0 + seconds)

    def move_from_a_stalled(self, node: "Node", epoch: "Epoch", seconds: float) -> None:
        """Its supervisor stalls just before a beat, sends it when the broker is elsewhere, and dies."""
        self.left_with_the_old(node, epoch, 900.0 + seconds)
        for supervisor in epoch.supervisors:
            supervisor.hold_s = self._dice.uniform(930, 1200)
        if not self.is_moving() and epoch.number < self._world.most_epochs:
            self._world.clock.after(90.0, lambda: self._begin_move(epoch))

    def _begin_move(self, epoch: "Epoch") -> None:
        if not self.is_moving() and epoch is self._world.epochs[-1]:
            self._mover = Mover(self._world, epoch)

    def move_with_crash(self, node: "Node", epoch: "Epoch", seconds: float) -> None:
        self.move(node, epoch, seconds)
        self.host_crashes(node, epoch, 230.0 + seconds)

    # -- their end ------------------------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Nothing is wrong any more."""
        self.ended = True
        for node in self._world.nodes:
            node.trap = node.wire.trap = None
            node.wire.heal()
            node.file.heal()
            node.guard.hurry(60.0)
        for epoch in self._world.epochs:
            epoch.unminded_until = epoch.restart_at = 0.0
            epoch.hung = False
            epoch.disk_heals()
