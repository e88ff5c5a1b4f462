"""What the end of an attempt means: one table, from what was seen to what is recorded.

The done rule has the last word: complete outputs mean done whatever the exit code, the signal or our own request to end, because the
next claimer would look at the same files and skip the jobfile. (It was looked at before the start too, so the outputs are this
attempt's.) Without them nothing but an exit code 0, under the rule `exit-code` and not after our own SIGTERM, means done.

Reasons hold no path, time or number that differs between jobfiles: a campaign pauses when many fail with the same reason.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What becomes of an attempt; the values are the settle script's."""

    #: The work is done, by this attempt.
    DONE = "done"
    #: The outputs were there before it was started, so it was not.
    SKIPPED = "skipped"
    #: It ended without having done its work.
    FAILED = "failed"
    #: It was ended or never begun for a reason that is not its own; it waits again.
    HANDED_BACK = "handed_back"
    #: Its user has ended it.
    CANCELLED = "cancelled"
    #: Somebody else holds the jobfile now; nothing is recorded for this attempt.
    LOST = "lost"


class EndedFor(Enum):
    """Why we ended a jobfile, or did not begin it; the values are the `why` of the guard's `end` and the record's `ended_for`."""

    #: The node or its worker leaves: SIGTERM, a launcher's or the scheduler's word.
    LEAVE = "leave"
    #: The block's walltime ends.
    DEADLINE = "deadline"
    #: It ended by itself after it was warned of its node's end.
    WARNED = "warned"
    #: The block or node is being drained.
    DRAIN = "drain"
    #: The user has cancelled the jobfile.
    CANCEL = "cancel"
    #: It ran for longer than its `max`.
    MAX = "max"
    #: Its lease was lost, and somebody else has started it.
    LOST = "lost"
    #: Any other text: a fault of ours or a newer version's word.
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, why: str | None) -> "EndedFor | None":
        """The member that a guard's or record's text means; None if it was not ended by us."""
        if why is None:
            return None
        return next((member for member in cls if member.value == why), cls.UNKNOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class StartFailed:
    """A start that the guard could not make."""

    #: What was being done: chdir, logs, execve, …
    stage: str
    errno: int | None = None
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """What was seen of an attempt's end."""

    #: Exit code, if it exited.
    exit_code: int | None = None
    #: Signal, if one ended it.
    signal: int | None = None
    #: What the done rule says after the end; None: the rule is `exit-code`, it looks at nothing.
    outputs: bool | None = None
    #: The done rule was met before the start.
    found_done: bool = False
    #: The jobfile was not there any more (tasks.errors.JobfileGone).
    gone: bool = False
    #: It is there and cannot be run: the BadJobfile's reason.
    bad_jobfile: str | None = None
    start_failed: StartFailed | None = None
    ended_for: EndedFor | None = None
    #: Somebody else holds the jobfile, says the broker.
    lost: bool = False
    #: It was frozen at least once.
    froze: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """What is recorded of an attempt."""

    verdict: Verdict
    #: For people, and for the comparison of failures with each other.
    reason: str
    #: It counts against the campaign's `retries`.
    counts_as_failure: bool = False
    #: A failure that may be tried again by itself.
    retry: bool = False
    #: A hand-back that somebody asked for, so that it is not counted as a loss (LEASES rule 19).
    free: bool = False


@dataclass(frozen=True, slots=True)
class _Row:
    when: Callable[[Ended], bool]
    then: Callable[[Ended], Ending]


def _done(reason: str) -> Ending:
    return Ending(verdict=Verdict.DONE, reason=reason)


def _failed(reason: str, *, retry: bool, counts: bool = True) -> Ending:
    return Ending(verdict=Verdict.FAILED, reason=reason, counts_as_failure=counts, retry=retry)


def _handed_back(reason: str, *, free: bool) -> Ending:
    return Ending(verdict=Verdict.HANDED_BACK, reason=reason, free=free)


_LOST = Ending(verdict=Verdict.LOST, reason="its lease was lost, another holds it")
_ASKED = {
    EndedFor.LEAVE: "handed back: its node leaves",
    EndedFor.DEADLINE: "handed back: the walltime of its block ends",
    EndedFor.WARNED: "handed back: its node ends, of which it was warned",
    EndedFor.DRAIN: "handed back: its block is drained",
}

#: The first row that fits decides.
_TABLE = (
    # Whatever it did, the jobfile is another's now: whoever holds it looks at the outputs.
    _Row(lambda e: e.lost or e.ended_for is EndedFor.LOST, lambda _: _LOST),
    _Row(lambda e: e.found_done, lambda _: Ending(verdict=Verdict.SKIPPED, reason="outputs were there")),
    _Row(lambda e: e.outputs is True, lambda e: _done(_done_reason(e))),
    # Every node would see the same, so nothing is tried again.
    _Row(lambda e: e.gone, lambda _: _failed("jobfile gone", retry=False)),
    _Row(lambda e: e.bad_jobfile is not None, lambda e: _failed(f"bad jobfile: {e.bad_jobfile}", retry=False)),
    _Row(lambda e: e.ended_for is EndedFor.CANCEL, lambda _: Ending(verdict=Verdict.CANCELLED, reason="cancelled")),
    _Row(lambda e: e.ended_for is EndedFor.MAX, lambda _: _failed("ran for longer than its max", retry=False)),
    # Nobody has ended it: its exit code 0 is its own word.
    _Row(lambda e: e.ended_for is EndedFor.WARNED and e.exit_code == 0 and _is_all(e), lambda _: _done("exit code 0")),
    # Exit code 0 too: it may be a trap's answer to our SIGTERM, and work done twice is better than work not done.
    _Row(lambda e: e.ended_for in _ASKED, lambda e: _handed_back(_ASKED[e.ended_for or EndedFor.LEAVE], free=True)),
    _Row(lambda e: e.ended_for is not None, lambda _: _handed_back("handed back: ended by us for an unknown reason", free=False)),
    # Another node may have the directory, the permission or the memory.
    _Row(lambda e: e.start_failed is not None, lambda e: _failed(_start_reason(e.start_failed), retry=True)),
    _Row(lambda e: e.exit_code is None and e.signal is None, lambda _: _handed_back("handed back: nobody saw how it ended", free=False)),
    _Row(lambda e: e.exit_code == 0 and e.signal is None and e.outputs is None, lambda _: _done("exit code 0")),
    # A licence, a connection, a timer may have run out while it stood still (LEASES rule 12).
    _Row(lambda e: e.froze, lambda e: _failed(f"{_exit_reason(e)}, after it had been frozen", retry=True, counts=False)),
    # Its inputs or its done rule are wrong: the same would come out again.
    _Row(lambda e: e.exit_code == 0 and e.signal is None, lambda e: _failed(_exit_reason(e), retry=False)),
    _Row(lambda _: True, lambda e: _failed(_exit_reason(e), retry=True)),
)


def _is_all(ended: Ended) -> bool:
    """Whether the exit code is all that there is to judge by."""
    return ended.signal is None and ended.outputs is None and ended.start_failed is None


def judge(ended: Ended) -> Ending:
    """What an attempt's end means; every `Ended` has an answer."""
    return next(row.then(ended) for row in _TABLE if row.when(ended))


def _done_reason(ended: Ended) -> str:
    if ended.exit_code == 0 or (ended.exit_code is None and ended.signal is None):
        return "outputs complete"
    return f"outputs complete, though {_how(ended)}"


def _exit_reason(ended: Ended) -> str:
    if ended.exit_code == 0 and ended.signal is None:
        return "exit code 0, but the outputs are not there" if ended.outputs is False else "exit code 0"
    return _how(ended)


def _how(ended: Ended) -> str:
    if ended.signal is not None:
        return f"killed by {_signal_name(ended.signal)}{_memory(ended.signal)}"
    code = ended.exit_code
    return f"exit code {code}{_meaning(code or 0)}"


def _meaning(code: int) -> str:
    """What shells mean by a code (bash(1), EXIT STATUS)."""
    if code == 126:
        return " (a command in it cannot be executed)"
    if code == 127:
        return " (a command in it was not found: is a module missing?)"
    if 128 < code <= 128 + signal.SIGRTMAX and _signal_name(code - 128).startswith("SIG"):
        return f" (a command in it was killed by {_signal_name(code - 128)}{_memory(code - 128)})"
    return ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _memory(number: int) -> str:
    return ", perhaps for want of memory" if number == signal.SIGKILL else ""


def _start_reason(failure: StartFailed | None) -> str:
    if failure is None:
        return "start failed"
    return f"start failed at {failure.stage}: {os.strerror(failure.errno) if failure.errno else failure.message or 'no reason given'}"
