"""What every end of an attempt means: the table row by row, and what holds for all combinations."""

import errno
import itertools
import re
from dataclasses import replace

import pytest

from tasks.ending import Ended, EndedFor, Ending, StartFailed, Verdict, judge

DONE, SKIPPED, FAILED = Verdict.DONE, Verdict.SKIPPED, Verdict.FAILED
HANDED_BACK, CANCELLED, LOST = Verdict.HANDED_BACK, Verdict.CANCELLED, Verdict.LOST
GONE_FOLDER = StartFailed(stage="chdir", errno=errno.ENOENT, message="/d/x: no such directory")


def failed(reason: str, *, counts: bool = True, retry: bool) -> Ending:
    return Ending(verdict=FAILED, reason=reason, counts_as_failure=counts, retry=retry)


TABLE = {
    # The outputs decide.
    "found done": (Ended(found_done=True), Ending(verdict=SKIPPED, reason="outputs were there")),
    "exit 0, outputs": (Ended(exit_code=0, outputs=True), Ending(verdict=DONE, reason="outputs complete")),
    "exit 0, no rule": (Ended(exit_code=0), Ending(verdict=DONE, reason="exit code 0")),
    "exit 0, no outputs": (Ended(exit_code=0, outputs=False), failed("exit code 0, but the outputs are not there", retry=False)),
    "exit 7, outputs": (Ended(exit_code=7, outputs=True), Ending(verdict=DONE, reason="outputs complete, though exit code 7")),
    "signal, outputs": (Ended(signal=15, outputs=True), Ending(verdict=DONE, reason="outputs complete, though killed by SIGTERM")),
    "unseen, outputs": (Ended(outputs=True), Ending(verdict=DONE, reason="outputs complete")),
    # Exit codes and signals.
    "exit 7": (Ended(exit_code=7), failed("exit code 7", retry=True)),
    "exit 7, no outputs": (Ended(exit_code=7, outputs=False), failed("exit code 7", retry=True)),
    "exit 126": (Ended(exit_code=126), failed("exit code 126 (a command in it cannot be executed)", retry=True)),
    "exit 127": (Ended(exit_code=127), failed("exit code 127 (a command in it was not found: is a module missing?)", retry=True)),
    "exit 137": (
        Ended(exit_code=137),
        failed("exit code 137 (a command in it was killed by SIGKILL, perhaps for want of memory)", retry=True),
    ),
    "exit 139": (Ended(exit_code=139), failed("exit code 139 (a command in it was killed by SIGSEGV)", retry=True)),
    "exit 255": (Ended(exit_code=255), failed("exit code 255", retry=True)),
    "SIGKILL": (Ended(signal=9, outputs=False), failed("killed by SIGKILL, perhaps for want of memory", retry=True)),
    "SIGSEGV": (Ended(signal=11), failed("killed by SIGSEGV", retry=True)),
    "real-time signal": (Ended(signal=40), failed("killed by signal 40", retry=True)),
    # Never ran.
    "gone": (Ended(gone=True), failed("jobfile gone", retry=False)),
    "became bad": (Ended(bad_jobfile="is empty"), failed("bad jobfile: is empty", retry=False)),
    "no folder": (Ended(start_failed=GONE_FOLDER), failed("start failed at chdir: No such file or directory", retry=True)),
    "no reason": (Ended(start_failed=StartFailed(stage="fork")), failed("start failed at fork: no reason given", retry=True)),
    # Ended by us.
    "warned": (
        Ended(exit_code=75, ended_for=EndedFor.WARNED),
        Ending(verdict=HANDED_BACK, reason="handed back: its node ends, of which it was warned", free=True),
    ),
    "warned, without what it was to make": (
        Ended(exit_code=0, outputs=False, ended_for=EndedFor.WARNED),
        Ending(verdict=HANDED_BACK, reason="handed back: its node ends, of which it was warned", free=True),
    ),
    "warned, and it ended well": (Ended(exit_code=0, ended_for=EndedFor.WARNED), Ending(verdict=DONE, reason="exit code 0")),
    "leave": (Ended(signal=15, ended_for=EndedFor.LEAVE), Ending(verdict=HANDED_BACK, reason="handed back: its node leaves", free=True)),
    "deadline": (
        Ended(signal=9, outputs=False, ended_for=EndedFor.DEADLINE),
        Ending(verdict=HANDED_BACK, reason="handed back: the walltime of its block ends", free=True),
    ),
    "drain": (
        Ended(signal=15, ended_for=EndedFor.DRAIN),
        Ending(verdict=HANDED_BACK, reason="handed back: its block is drained", free=True),
    ),
    "leave, not begun": (
        Ended(start_failed=GONE_FOLDER, ended_for=EndedFor.LEAVE),
        Ending(verdict=HANDED_BACK, reason="handed back: its node leaves", free=True),
    ),
    "leave, trap exits 0": (
        Ended(exit_code=0, ended_for=EndedFor.LEAVE),
        Ending(verdict=HANDED_BACK, reason="handed back: its node leaves", free=True),
    ),
    "leave, outputs": (Ended(exit_code=0, outputs=True, ended_for=EndedFor.LEAVE), Ending(verdict=DONE, reason="outputs complete")),
    "unknown why": (
        Ended(signal=15, ended_for=EndedFor.UNKNOWN),
        Ending(verdict=HANDED_BACK, reason="handed back: ended by us for an unknown reason"),
    ),
    "nobody saw": (Ended(), Ending(verdict=HANDED_BACK, reason="handed back: nobody saw how it ended")),
    "cancelled": (Ended(signal=15, ended_for=EndedFor.CANCEL), Ending(verdict=CANCELLED, reason="cancelled")),
    "cancelled, exit 0": (Ended(exit_code=0, ended_for=EndedFor.CANCEL), Ending(verdict=CANCELLED, reason="cancelled")),
    "over its max": (Ended(signal=15, ended_for=EndedFor.MAX), failed("ran for longer than its max", retry=False)),
    "lost": (Ended(signal=9, ended_for=EndedFor.LOST), Ending(verdict=LOST, reason="its lease was lost, another holds it")),
    "lost, outputs": (Ended(exit_code=0, outputs=True, lost=True), Ending(verdict=LOST, reason="its lease was lost, another holds it")),
    # After a freeze.
    "frozen, exit 7": (Ended(exit_code=7, froze=True), failed("exit code 7, after it had been frozen", counts=False, retry=True)),
    "frozen, signal": (Ended(signal=9, outputs=False, froze=True),
                       failed("killed by SIGKILL, perhaps for want of memory, after it had been frozen", counts=False, retry=True)),
    "frozen, no outputs": (
        Ended(exit_code=0, outputs=False, froze=True),
        failed("exit code 0, but the outputs are not there, after it had been frozen", counts=False, retry=True),
    ),
    "frozen, done": (Ended(exit_code=0, outputs=True, froze=True), Ending(verdict=DONE, reason="outputs complete")),
    "frozen, exit 0, no rule": (Ended(exit_code=0, froze=True), Ending(verdict=DONE, reason="exit code 0")),
}  # fmt: skip


@pytest.mark.parametrize(("ended", "ending"), TABLE.values(), ids=TABLE.keys())
def test_an_end_means(ended: Ended, ending: Ending) -> None:
    assert judge(ended) == ending


EVERY = [
    Ended(
        exit_code=code, signal=number, outputs=outputs, found_done=found, gone=gone, bad_jobfile=bad, start_failed=start, ended_for=why,
        lost=lost, froze=froze,
    )
    for (code, number), outputs, found, gone, bad, start, why, lost, froze in itertools.product(
        [(0, None), (7, None), (137, None), (None, 9), (None, None)], [True, False, None], [True, False], [True, False], [None, "is empty"],
        [None, GONE_FOLDER], [None, *EndedFor], [True, False], [True, False],
    )
]  # fmt: skip


def test_every_combination_has_one_ending_that_is_sound() -> None:
    for ended in EVERY:
        ending = judge(ended)
        assert ending.reason, ended
        assert ending.verdict is FAILED or not (ending.counts_as_failure or ending.retry), ended
        assert ending.verdict is HANDED_BACK or not ending.free, ended
        assert (ending.verdict is LOST) == (ended.lost or ended.ended_for is EndedFor.LOST), ended


def test_nothing_is_done_without_outputs_but_by_its_own_exit_code_0() -> None:
    for ended in EVERY:
        if judge(ended).verdict is DONE and not ended.outputs:
            assert (ended.exit_code, ended.outputs, ended.start_failed) == (0, None, None), ended
            assert ended.ended_for in (None, EndedFor.WARNED), ended


def test_complete_outputs_are_never_a_failure_or_run_again() -> None:
    assert {judge(e).verdict for e in EVERY if e.outputs} == {DONE, SKIPPED, LOST}


def test_a_failure_after_a_freeze_of_a_jobfile_that_ran_never_counts() -> None:
    ran = [e for e in EVERY if e.froze and e.start_failed is None and not e.gone and e.bad_jobfile is None and e.ended_for is None]
    assert ran
    assert not any(judge(e).counts_as_failure for e in ran)


def test_a_hand_back_is_free_only_if_somebody_asked_for_it() -> None:
    asked = {e.ended_for for e in EVERY if judge(e).free}
    assert asked == {EndedFor.LEAVE, EndedFor.DEADLINE, EndedFor.WARNED, EndedFor.DRAIN}


def test_reasons_are_the_same_for_all_jobfiles_of_a_campaign() -> None:
    other = replace(GONE_FOLDER, message="/d/y: no such directory")
    assert judge(Ended(start_failed=GONE_FOLDER)) == judge(Ended(start_failed=other))
    assert not [e for e in EVERY if re.search("/d/", judge(e).reason)]


@pytest.mark.parametrize("why", [None, *(member.value for member in EndedFor), "newer word"])
def test_a_why_that_is_not_known_is_unknown(why: str | None) -> None:
    member = EndedFor.of(why)
    assert (member.value if member else None) == ("unknown" if why == "newer word" else why)
