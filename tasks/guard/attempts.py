"""The jobfiles of one node: started, frozen, thawed and ended on the worker's word, frozen by the dead-man's switch without it."""

import errno
import logging
import os
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from tasks.guard import freezing, protocol, starter
from tasks.guard.attempt import Attempt, State
from tasks.guard.clock import boottime
from tasks.guard.environment import Place, jobfile_environ
from tasks.guard.loop import Loop
from tasks.guard.process_tree import Levels, ProcessTree
from tasks.guard.processors import Shares
from tasks.guard.protocol import Message, StartOrder
from tasks.guard.settings import GuardSettings
from tasks.guard.starter import Failure, Launch

log = logging.getLogger(__name__)

Send = Callable[[str, Message], None]


class Closer(Protocol):
    """Takes over an attempt whose jobfile is to end or has ended."""

    def kill(self, attempt: Attempt) -> None: ...

    def kill_at(self, attempt: Attempt, when: float) -> None: ...
