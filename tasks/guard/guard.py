"""The guard: owns the jobfiles' processes of one node, and the worker that says which. All its parts, wired together."""

import os
import signal
import time
from collections.abc import Mapping

from tasks.guard import child, freezing, leftovers, log, protocol
from tasks.guard.accounting import next_exited, next_poll_s
from tasks.guard.attempt import State
from tasks.guard.closing import Closing
from tasks.guard.environment import block_environ, tmp_root
from tasks.guard.farewell import Farewell, is_expected
from tasks.guard.loop import Loop
from tasks.guard.node import Node
from tasks.guard.orders import Orders
from tasks.guard.process import Process, read_process
from tasks.guard.process_tree import ProcessTree, Sighting
from tasks.guard.processors import Shares, read_order
from tasks.guard.protocol import Message
from tasks.guard.scribe import Scribe
from tasks.guard.settings import GuardSettings
from tasks.guard.spawner import Spawner
from tasks.guard.worker_process import BACK_OFF_S, WorkerProcess, back_off_s

#: Every so many looks at memory also those processes are read again that were other people's.
_FRESH_EVERY = 10
#: So many short lives of workers in a row, with nothing running, and the node is given back: it burns node-hours for nothing.
GIVE_UP_AFTER = 10
#: How long the end waits for the last errands, when everything else is done.
_LAST_ERRANDS_S = 5.0
#: A look at other people's leftovers may hang (see `read_environ`); the block goes on after this time.
_CLEANING_S = 30.0


class Guard:
    """One node's guard, from its start to its exit code."""

    def __init__(self, settings: GuardSettings, environ: Mapping[str, str], spawner: Spawner) -> None:
        self._loop = Loop()
        mark = leftovers.own_mark()
        ours = {**environ, "NUNATAK_GUARD": mark, "NUNATAK_BLOCK": settings.block}
        self._worker = WorkerProcess(self._loop, settings, ours, self._told, self._worker_ended)
        self._node = Node(
            settings=settings,
            loop=self._loop,
            tree=ProcessTree(guard_pid=os.getpid()),
            shares=Shares(read_order()),
            environ=block_environ(environ, settings),
            tmp_root=tmp_root(environ, settings),
            mark=mark,
            send=self._worker.send,
            spawner=spawner,
        )
        if spawner.pid is not None:
            self._node.tree.helpers.add(spawner.pid)
        self._scribe = Scribe(self._loop, settings.record_timeout_s, self._node.tree.helpers.add)
        self._closing = Closing(self._node, self._scribe)
        self._farewell = Farewell(self._node, self._closing)
        self._orders = Orders(self._node, self._closing, self._farewell, self._scribe, self._start_polling)
        self._polling = False
        self._polls = 0
        self._exit_code = 0
        self._warned_why = ""
        self._leaving_why = ""

    def run(self) -> int:
        """Until the block ends or the worker leaves for good. Returns the exit code."""
        self._listen()
        self._clean_node()
        self._plan_block_end()
        self._start_worker()
        self._loop.run()
        self._finish()
        return self._exit_code

    @property
    def went_well(self) -> bool:
        """Whether nobody need read the log: the first worker left in order."""
        return self._exit_code == 0 and self._worker.deaths == 0

    # -- beginning ------------------------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._loop.handle(signal.SIGCHLD, self._reap)
        self._loop.handle(signal.SIGUSR1, self._usr1)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.handle(number, lambda: self._leave("term"))
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            self._loop.handle(signal.SIGHUP, lambda: self._leave("term"))

    def _clean_node(self) -> None:
        """Before anything is started, in a child, because it may hang."""
        pid = child.fork(self._clean_and_exit, dies_with_guard=True)
        self._node.tree.helpers.add(pid)
        until = time.monotonic() + _CLEANING_S
        while pid in self._node.tree.helpers and time.monotonic() < until:
            self._loop.run_once(until - time.monotonic())
        if pid in self._node.tree.helpers:
            log.error("leftovers.hangs after_s=%g", _CLEANING_S)

    def _clean_and_exit(self) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        leftovers.clean_node(self._node.tmp_root)
        os._exit(0)

    def _plan_block_end(self) -> None:
        settings = self._node.settings
        if settings.deadline_unix is not None:
            self._farewell.plan(settings.deadline_unix)
            self._loop.after(settings.deadline_unix - time.time(), lambda: self._leave("deadline"))
        if settings.warn_unix is not None:
            self._loop.after(settings.warn_unix - time.time(), lambda: self._warn("deadline"))

    # -- the worker -----------------------------------------------------------------------------------------------------------------

    def _start_worker(self) -> None:
        if self._node.leaving:
            return
        try:
            self._node.tree.helpers.add(self._worker.start())
        except OSError as error:
            log.error("worker.cannot_fork error=%s", error)
            self._loop.after(back_off_s(len(BACK_OFF_S)), self._start_worker)

    def _told(self, kind: str, message: Message) -> None:
        if kind == protocol.HELLO:
            self._welcome()
        else:
            self._orders.obey(kind, message)

    def _welcome(self) -> None:
        running = [attempt.entry().to_message() for attempt in self._node.attempts.values()]
        settings = self._node.settings
        values = {"running": running, "slots": settings.slots, "node": settings.node, "block": settings.block, "guard": self._node.mark}
        self._worker.send(protocol.WELCOME, values)
        if self._warned_why:
            self._worker.send(protocol.WARN, {"why": self._warned_why})
        if self._leaving_why:
            self._worker.send(protocol.LEAVE, {"why": self._leaving_why})

    def _worker_ended(self) -> None:
        if self._worker.has_said_goodbye:
            self._leave("goodbye")
        elif self._worker.short_lives >= GIVE_UP_AFTER and not self._node.active():
            log.error("guard.gives_up workers_that_died=%d", self._worker.short_lives)
            self._exit_code = 1
            self._leave("goodbye")
        elif not self._node.leaving:
            self._loop.after(back_off_s(self._worker.short_lives), self._start_worker)
        self._stop_if_done()

    # -- leaving --------------------------------------------------------------------------------------------------------------------

    def _usr1(self) -> None:
        """The scheduler's warning. That of an end which is known changes nothing, as it may come half a minute early."""
        settings, now = self._node.settings, time.time()
        if self._node.leaving:
            return
        if is_expected(settings, now):
            log.info("guard.warning_expected left_s=%.0f", (settings.deadline_unix or now) - now)
        elif settings.warned_s > 0:
            self._warn("usr1")
            self._farewell.plan(now + settings.warned_s)
            self._loop.after(settings.warned_s, lambda: self._leave("deadline"))
        else:
            self._leave("usr1")

    def _warn(self, why: str) -> None:
        """Claim nothing more; what runs goes on."""
        if self._node.leaving or self._warned_why:
            return
        log.warning("guard.warned why=%s running=%d", why, len(self._node.active()))
        self._warned_why = why
        self._worker.send(protocol.WARN, {"why": why})

    def _leave(self, why: str) -> None:
        """End every jobfile, let the worker hand back, go. Slurm says it two or three times."""
        if self._node.leaving:
            return
        log.warning("guard.leaves why=%s running=%d", why, len(self._node.active()))
        self._node.leaving, self._leaving_why = True, why
        self._worker.send(protocol.LEAVE, {"why": why})
        self._farewell.end_all(why)
        self._loop.after(self._node.settings.leave_timeout_s, self._leave_at_last)
        self._stop_if_done()

    def _leave_at_last(self) -> None:
        if self._worker.pid is not None:
            log.error("guard.worker_does_not_leave pid=%d", self._worker.pid)
            self._worker.kill()

    def _stop_if_done(self) -> None:
        if self._node.leaving and self._worker.pid is None and not self._node.active():
            self._loop.stop()

    def _finish(self) -> None:
        """Nothing is left but errands on filesystems: they get a moment."""
        until = time.monotonic() + _LAST_ERRANDS_S
        while not self._scribe.is_idle and time.monotonic() < until:
            self._loop.run_once(0.1)
        self._scribe.dismiss()
        self._node.spawner.dismiss()
        self._end_strays(self._node.tree.look(fresh=True))
        log.info("guard.exits code=%d", self._exit_code)

    # -- processes ------------------------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        while (pid := next_exited()) is not None:
            self._reap_one(pid)
        self._closing.review()
        self._stop_if_done()

    def _reap_one(self, pid: int) -> None:
        attempt = self._node.by_root(pid)
        if attempt is not None:
            # A jobfile may be over before it was noticed that it had begun, or that it had not.
            self._orders.check_started(attempt)
        owner = self._owner(pid)
        _, status, usage = os.wait4(pid, 0)
        if owner is not None and owner in self._node.attempts:
            self._node.attempts[owner].usage.add_reaped(usage)
        self._sort_reaped(pid, status)

    def _owner(self, pid: int) -> str | None:
        if pid in self._node.tree.helpers:
            return None
        if pid in self._node.tree.roots:
            return self._node.tree.roots[pid]
        process = read_process(pid)
        return None if process is None else self._node.tree.owner_of_zombie(process)

    def _sort_reaped(self, pid: int, status: int) -> None:
        attempt = self._node.by_root(pid)
        self._node.tree.helpers.discard(pid)
        if pid == self._worker.pid:
            self._worker.reaped(status)
        elif attempt is not None:
            self._closing.root_exited(attempt, status)

    # -- looking at memory ----------------------------------------------------------------------------------------------------------

    def _start_polling(self) -> None:
        if not self._polling:
            self._polling = True
            self._loop.after(next_poll_s(0.0), self._poll)

    def _poll(self) -> None:
        began = time.monotonic()
        self._polls += 1
        sighting = self._node.tree.look(fresh=self._polls % _FRESH_EVERY == 0)
        for attempt in self._node.active():
            attempt.usage.see(sighting.rss_bytes(attempt.token))
            if attempt.state is State.FROZEN and (woken := freezing.stop_the_woken(sighting.of(attempt.token))):
                log.warning("attempt.was_woken job=%s processes=%d", attempt.order.id, woken)
        self._end_strays(sighting)
        self._polling = bool(self._node.active())
        if self._polling:
            self._loop.after(next_poll_s(time.monotonic() - began), self._poll)

    def _end_strays(self, sighting: Sighting) -> None:
        """What an ended attempt left behind; and, when nothing runs, what nobody knows."""
        meant: tuple[Process, ...] = sighting.left_over if self._node.active() else (*sighting.left_over, *sighting.strays)
        if meant and (ended := freezing.kill(lambda: [list(meant)])):
            log.warning("guard.strays_ended processes=%d", ended)
