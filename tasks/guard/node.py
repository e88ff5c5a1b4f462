"""What one guard has: its attempts, the processes below it, its slots and processors."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from tasks.guard.attempt import Attempt
from tasks.guard.loop import Loop
from tasks.guard.process_tree import Levels, ProcessTree
from tasks.guard.processors import Shares
from tasks.guard.protocol import Message
from tasks.guard.settings import GuardSettings
from tasks.guard.spawner import Spawner


@dataclass(kw_only=True)
class Node:
    """Shared by the guard's parts; only the loop's thread touches it."""

    settings: GuardSettings
    loop: Loop
    tree: ProcessTree
    shares: Shares
    #: The environment of all jobfiles, before what is each one's own.
    environ: dict[str, str]
    #: Where TMPDIRs are made.
    tmp_root: str
    #: `PID:STARTTIME` of this guard.
    mark: str
    #: Says something to the worker.
    send: Callable[[str, Message], None]
    #: Forks the jobfiles' starters.
    spawner: Spawner
    attempts: dict[str, Attempt] = field(default_factory=dict)
    #: Nothing is started any more.
    leaving: bool = False

    def active(self) -> list[Attempt]:
        """Those that may have processes."""
        return [attempt for attempt in self.attempts.values() if attempt.is_active]

    def by_root(self, pid: int) -> Attempt | None:
        """The attempt whose jobfile is this child."""
        token = self.tree.roots.get(pid)
        return None if token is None else self.attempts[token]

    def free_slot(self) -> int:
        """The lowest number that no active attempt has."""
        taken = {attempt.slot for attempt in self.active()}
        return next(slot for slot in range(len(taken) + 1) if slot not in taken)

    def stop_listening(self, attempt: Attempt) -> None:
        """What its child may still say of the start does not matter any more."""
        if attempt.told_fd is not None:
            self.loop.unwatch(attempt.told_fd)
            os.close(attempt.told_fd)
            attempt.told_fd = None

    def abandon(self, attempt: Attempt) -> None:
        """Its child is on its way out, but not reaped: from now on it is nobody's."""
        self.stop_listening(attempt)
        self.tree.drop(attempt.pid)
        self.tree.helpers.add(attempt.pid)

    def look(self, attempt: Attempt) -> Callable[[], Levels]:
        """Finds the attempt's processes, anew at each call."""
        return lambda: self.tree.look(fresh=True).of(attempt.token)
