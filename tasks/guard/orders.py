"""What the worker asks of a guard: start, extend, thaw, end and forget. And the dead-man's switch, which asks nobody."""

from collections.abc import Callable, Mapping

from tasks.guard import freezing, log, protocol, starter
from tasks.guard.attempt import Attempt, State
from tasks.guard.clock import boottime
from tasks.guard.closing import Closing
from tasks.guard.environment import Place, jobfile_environ
from tasks.guard.farewell import Farewell
from tasks.guard.leftovers import tmpdir_name
from tasks.guard.node import Node
from tasks.guard.protocol import Message, StartOrder
from tasks.guard.scribe import Scribe
from tasks.guard.starter import Failure, Launch

#: Of a jobfile that is over before this, the worker hears once: a message and two changes of thread less per short jobfile.
_SAY_STARTED_S = 0.05


class Orders:
    """Carries out one order at a time, as the loop reads them."""

    def __init__(self, node: Node, closing: Closing, farewell: Farewell, scribe: Scribe, on_start: Callable[[], None]) -> None:
        self._node = node
        self._closing = closing
        self._farewell = farewell
        self._scribe = scribe
        self._on_start = on_start
        self._verbs: Mapping[str, Callable[[Attempt, Message], None]] = {
            protocol.EXTEND: self._extend,
            protocol.THAW: self._thaw,
            protocol.END: self._end,
            protocol.FORGET: self._forget,
        }

    def obey(self, kind: str, message: Message) -> None:
        """One order. What cannot be understood is refused in the log: the jobfiles that run do not suffer from it."""
        try:
            self._obey(kind, message)
        except (KeyError, TypeError, ValueError) as error:
            log.error("order.refused kind=%s error=%r", kind, error)

    def _obey(self, kind: str, message: Message) -> None:
        if kind == protocol.START:
            self._start(StartOrder.from_message(message))
        elif kind in self._verbs:
            attempt = self._node.attempts.get(message["token"])
            if attempt is not None:
                self._verbs[kind](attempt, message)
            else:
                log.info("order.for_nothing kind=%s", kind)
        elif kind != protocol.ALIVE:
            log.error("order.unknown kind=%s", kind)

    # -- starting -------------------------------------------------------------------------------------------------------------------

    def _start(self, order: StartOrder) -> None:
        known = self._node.attempts.get(order.token)
        if known is not None:
            self._say_again(known)
        elif self._node.leaving:
            self._refuse(order, Failure(stage="leaving", errno=None, message="the node leaves"))
        elif order.deadline is not None and boottime() >= order.deadline:
            self._refuse(order, Failure(stage="deadline", errno=None, message="its lease may have ended before its start"))
        else:
            self._launch(order)

    def _say_again(self, attempt: Attempt) -> None:
        if attempt.state is State.ENDED and attempt.ending is not None:
            self._node.send(protocol.ENDED, {"token": attempt.token, **attempt.ending.to_message()})
        elif attempt.state is not State.STARTING:
            self._say_started(attempt)

    def _launch(self, order: StartOrder) -> None:
        slot, share = self._node.free_slot(), order.share or 1 / self._node.settings.slots
        bound = self._node.settings.bind == "slot"
        cpus = self._node.shares.take(share) if bound else frozenset()
        tmpdir = f"{self._node.tmp_root}/{tmpdir_name(self._node.mark)}"
        place = Place(slot=slot, cpus=self._node.shares.size(share), tmpdir=tmpdir, guard=self._node.mark)
        try:
            pid, told = starter.launch(self._plan(order, place, cpus), self._node.spawner)
        except OSError as error:
            self._node.shares.give_back(cpus)
            self._refuse(order, Failure(stage="fork", errno=error.errno, message=str(error)))
            return
        attempt = Attempt(order=order, slot=slot, cpus=cpus, tmpdir=tmpdir, pid=pid, told_fd=told, deadline=order.deadline)
        self._node.attempts[order.token] = attempt
        self._node.tree.add_root(pid, order.token)
        self._node.loop.watch(told, lambda: self.check_started(attempt))
        self._arm(attempt)
        self._on_start()

    def _plan(self, order: StartOrder, place: Place, cpus: frozenset[int]) -> Launch:
        settings = self._node.settings
        return Launch(
            argv=order.argv,
            environ=jobfile_environ(self._node.environ, settings, order, place),
            cwd=order.cwd,
            stdout=order.stdout,
            stderr=order.stderr,
            tmpdir=place.tmpdir,
            umask=order.umask,
            cpus=cpus,
            core_limit=settings.core_limit,
            oom_score_adj=settings.oom_score_adj,
        )

    def check_started(self, attempt: Attempt) -> None:
        """The child has said why not, or nothing: then the jobfile runs."""
        if attempt.told_fd is None:
            return
        failure = starter.read_failure(attempt.told_fd)
        self._node.stop_listening(attempt)
        if failure is not None:
            self._fail(attempt, failure)
        else:
            attempt.move(State.RUNNING)
            self._farewell.arm(attempt)
            attempt.news = self._node.loop.after(_SAY_STARTED_S, lambda: self._say_started(attempt))

    def _say_started(self, attempt: Attempt) -> None:
        self._node.send(protocol.STARTED, {"token": attempt.token, "pid": attempt.pid, "started_boottime": attempt.started})

    def _fail(self, attempt: Attempt, failure: Failure) -> None:
        """It is no attempt; its child is on its way out."""
        attempt.disarm()
        self._node.abandon(attempt)
        self._node.shares.give_back(attempt.cpus)
        del self._node.attempts[attempt.token]
        self._refuse(attempt.order, failure)

    def _refuse(self, order: StartOrder, failure: Failure) -> None:
        log.warning("start.failed job=%s attempt=%d stage=%s message=%s", order.id, order.attempt, failure.stage, failure.message)
        values = {"stage": failure.stage, "errno": failure.errno, "message": failure.message}
        self._node.send(protocol.START_FAILED, {"token": order.token, **values})

    # -- the dead-man's switch ------------------------------------------------------------------------------------------------------

    def _arm(self, attempt: Attempt) -> None:
        if attempt.switch is not None:
            attempt.switch.cancel()
        attempt.switch = None if attempt.deadline is None else self._node.loop.at(attempt.deadline, lambda: self._run_out(attempt))

    def _run_out(self, attempt: Attempt) -> None:
        """Its lease ends soon and nobody has renewed it: another node may start it then."""
        if attempt.state is State.STARTING:
            self._give_up_start(attempt)
        elif attempt.state is State.RUNNING and attempt.ended_for is None:
            self._freeze(attempt)
        elif attempt.is_active and attempt.state is not State.FROZEN:
            self._closing.kill(attempt)

    def _give_up_start(self, attempt: Attempt) -> None:
        """It hangs on the way to its first instruction, which it must not reach now."""
        freezing.kill(self._node.look(attempt))
        self._fail(attempt, Failure(stage="deadline", errno=None, message="its start took until shortly before the end of its lease"))

    def _freeze(self, attempt: Attempt) -> None:
        stopped = freezing.freeze(self._node.look(attempt))
        attempt.freeze_began()
        log.warning("attempt.frozen job=%s attempt=%d processes=%d", attempt.order.id, attempt.order.attempt, stopped)
        self._node.send(protocol.FROZE, {"token": attempt.token, "why": protocol.DEADLINE})

    def _extend(self, attempt: Attempt, message: Message) -> None:
        attempt.deadline = message["deadline"]
        if attempt.is_active:
            self._arm(attempt)

    def _thaw(self, attempt: Attempt, message: Message) -> None:
        deadline = message["deadline"]
        if deadline is not None and boottime() >= deadline:
            self._node.send(protocol.FROZE, {"token": attempt.token, "why": protocol.DEADLINE})
            return
        self._extend(attempt, message)
        if attempt.state is State.FROZEN and not attempt.killed:
            attempt.freeze_ended()
            attempt.move(State.RUNNING)
            freezing.thaw(self._node.look(attempt))
            self._farewell.arm(attempt)
            log.info("attempt.thawed job=%s attempt=%d", attempt.order.id, attempt.order.attempt)
        self._node.send(protocol.THAWED, {"token": attempt.token})

    # -- the end --------------------------------------------------------------------------------------------------------------------

    def _end(self, attempt: Attempt, message: Message) -> None:
        if attempt.state is State.ENDED:
            self._say_again(attempt)
        else:
            self._closing.end(attempt, message["why"], message.get("grace_s", self._node.settings.term_grace_s))

    def _forget(self, attempt: Attempt, _message: Message) -> None:
        if attempt.state is not State.ENDED:
            log.error("order.forget_too_early job=%s state=%s", attempt.order.id, attempt.state.value)
            return
        del self._node.attempts[attempt.token]
        if attempt.order.record is not None:
            self._scribe.unlink(attempt.order.record)
