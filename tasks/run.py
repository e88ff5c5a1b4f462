"""The way of one claimed jobfile on this node: look, start, wait, look again, and say how it ended.

It runs in a thread of Celery's pool, so it may wait for the shared filesystem; the guard and the renewer may not.
"""

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from celery.exceptions import Ignore, Reject, Retry

from broker.claim import Claim
from broker.holding import Conclusion, HandBack, boottime
from broker.holdings import Holdings
from broker.home import Home
from broker.lease import DEFAULT_RETRIES, Outcome
from tasks import guard_client
from tasks.app import JobfileFailed
from tasks.done_rule import EXIT_CODE, DoneRule
from tasks.ending import Ended, EndedFor, Ending, StartFailed, Verdict, judge
from tasks.errors import BadJobfile, BadRule, CannotLook, JobfileGone, JobfileUnreadable
from tasks.guard.protocol import Ending as Finished
from tasks.guard.protocol import StartOrder
from tasks.guard_client import GuardClient, Handle
from tasks.jobfile import Jobfile, argv, read_jobfile
from tasks.logs import logs_of
from tasks.record import Record, read_record, record_path
from tasks.settings import WorkerSettings
from tasks.signals import signal_number

log = logging.getLogger(__name__)

#: A filesystem that does not say whether the outputs are there is asked again for this long, then the jobfile is handed back.
_LOOK_AGAIN_S = 600.0
_LOOK_EVERY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
#: A start needs at least this much of its lease; otherwise the claim is renewed first (LEASES rule 10).
_LEAST_SAFE_S = 1.0
#: From a jobfile's warning to its end, if it says nothing.
DEFAULT_GRACE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """What is known of an attempt beside how it ended."""

    elapsed_s: float | None = None
    cpu_s: float | None = None
    max_rss_mb: float | None = None
    fingerprint: str = ""


_NOTHING_STARTED = _Measured()


class Runner:
    """Runs the jobfiles of one worker."""

    def __init__(
        self,
        settings: WorkerSettings,
        holdings: Holdings,
        guard: GuardClient,
        *,
        renew_now: Callable[[], None],
        tell_soon: Callable[[], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._holdings = holdings
        self._guard = guard
        self._renew_now = renew_now
        self._tell_soon = tell_soon
        self._sleep = sleep
        self._records = Home(Path(settings.home)).records_dir

    def run(self, token: str) -> str:
        """The Celery task's body: run what was claimed under `token`; returns 'done' or raises Celery's word for another end."""
        claim = self._holdings.begin(token)
        try:
            ending, conclusion = self._conclude(claim)
        except Exception as error:
            # A fault of ours must not end as the jobfile's: it waits again, and is counted as a loss so that it cannot go on for ever.
            self._holdings.conclude(token, HandBack(free=False, reason=f"{type(error).__name__} in the worker: {error}"))
            raise
        self._holdings.conclude(token, conclusion)
        return _celery_word(ending, claim)

    def _conclude(self, claim: Claim) -> tuple[Ending, Conclusion]:
        running = self._adopted(claim.token)
        try:
            if running is None and (record := self._earlier_record(claim)) is not None:
                return self._settle_by_record(claim, record)
            ended, measured = self._attempt(claim, running)
        except CannotLook as error:
            ended, measured = Ended(ended_for=EndedFor.UNKNOWN), _NOTHING_STARTED
            log.error("run.cannot_look jobfile=%s error=%s", claim.path, error)
        ending = judge(ended)
        return ending, _conclusion(ending, ended, measured)

    # -- an attempt -----------------------------------------------------------------------------------------------------------------

    def _attempt(self, claim: Claim, running: Handle | None) -> tuple[Ended, _Measured]:
        path = Path(claim.path)
        try:
            jobfile = read_jobfile(path)
            rule = _rule(claim, jobfile)
        except JobfileGone:
            if running is None:
                return Ended(gone=True), _NOTHING_STARTED
            # It runs although its file is gone: let it end.
            jobfile, rule = None, _campaign_rule(claim)
        except (JobfileUnreadable, BadRule, BadJobfile) as error:
            if running is None:
                return _not_runnable(error), _NOTHING_STARTED
            jobfile, rule = None, _campaign_rule(claim)
        if running is None:
            if rule.is_done(path):
                return Ended(found_done=True), _NOTHING_STARTED
            if self._holdings.draining:
                return Ended(ended_for=EndedFor.LEAVE), _NOTHING_STARTED
            if jobfile is None or not self._is_safe(claim):
                return Ended(lost=True), _NOTHING_STARTED
            running = self._start(claim, jobfile)
        try:
            finished = self._wait(claim, running, _max_s(claim, jobfile))
        except guard_client.StartFailed as error:
            log.warning("run.start_failed jobfile=%s stage=%s errno=%s message=%s", claim.path, error.stage, error.errno, error.message)
            return self._not_started(error), _NOTHING_STARTED
        return self._seen(claim, rule, finished, jobfile)

    def _adopted(self, token: str) -> Handle | None:
        """What an earlier worker of this node has started, if it has."""
        with contextlib.suppress(KeyError):
            return self._guard.adopt(token)
        return None

    def _not_started(self, error: guard_client.StartFailed) -> Ended:
        if error.stage == "leaving":
            return Ended(ended_for=EndedFor.LEAVE)
        if error.stage == "deadline":
            # Its start took until the lease's end. It counts as a loss, so that a filesystem that always hangs there is not tried for ever.
            return Ended(ended_for=EndedFor.UNKNOWN)
        return Ended(start_failed=StartFailed(stage=error.stage, errno=error.errno, message=error.message))

    def _is_safe(self, claim: Claim) -> bool:
        """Whether enough of the lease is left to start; a claim that was answered too late is renewed first, never started."""
        while (deadline := self._holdings.deadline(claim.token)) is not None:
            if self._holdings.is_concluded(claim.token):
                return False
            if deadline - boottime() > _LEAST_SAFE_S:
                return True
            self._renew_now()
            self._sleep(0.5)
        return False

    def _start(self, claim: Claim, jobfile: Jobfile) -> Handle:
        logs = logs_of(claim.path, claim.campaign.get("logs", ""))
        order = StartOrder(
            token=claim.token,
            id=claim.job_id,
            attempt=claim.attempt,
            argv=argv(jobfile),
            cwd=claim.directory,
            environ=self._environ(claim),
            stdout=logs.out,
            stderr=logs.err,
            umask=int(claim.campaign.get("umask", "022"), 8),
            deadline=self._holdings.deadline(claim.token),
            record=str(record_path(self._records, claim.job_id, claim.attempt)),
            share=1.0 / claim.per_node if claim.per_node else None,
            checkpoint=_checkpoint(claim, jobfile),
            grace_s=_grace_s(claim, jobfile),
            blob=claim.to_blob(),
        )
        return self._guard.start(order)

    def _environ(self, claim: Claim) -> dict[str, str]:
        """What the jobfile is told of itself; the guard adds what only it knows (slot, processors)."""
        deadline = self._settings.deadline_unix
        return {
            **self._settings.environ,
            "NUNATAK_JOBFILE": claim.path,
            "NUNATAK_CAMPAIGN": claim.campaign.get("name", ""),
            "NUNATAK_ATTEMPT": str(claim.attempt),
            "NUNATAK_TOKEN": claim.token,
            "NUNATAK_DEADLINE": "" if deadline is None else f"{deadline:.0f}",
            "NUNATAK_NODE": self._settings.node,
            "NUNATAK_BLOCK": self._settings.block,
        }

    def _wait(self, claim: Claim, running: Handle, max_s: float | None) -> Finished:
        """Its ending; raises StartFailed if it was never started."""
        running.wait_started()
        started = running.started_boottime or boottime()
        self._holdings.started(claim.token, started)
        self._tell_soon()
        try:
            return running.wait(None if max_s is None else max(0.0, started + max_s - boottime()))
        except TimeoutError:
            self._guard.end(claim.token, EndedFor.MAX.value)
            return running.wait()

    def _seen(self, claim: Claim, rule: DoneRule, finished: Finished, jobfile: Jobfile | None) -> tuple[Ended, _Measured]:
        measured = _Measured(
            elapsed_s=finished.elapsed_s,
            cpu_s=finished.cpu_s,
            max_rss_mb=finished.max_rss_mb,
            fingerprint="" if jobfile is None else jobfile.fingerprint,
        )
        if finished.escaped:
            log.warning("run.escaped jobfile=%s processes=%d", claim.path, finished.escaped)
        return Ended(
            exit_code=finished.exit_code,
            signal=finished.signal,
            outputs=self._outputs(rule, Path(claim.path)),
            ended_for=EndedFor.of(finished.ended_for),
            froze=finished.frozen_once,
        ), measured

    def _outputs(self, rule: DoneRule, path: Path) -> bool | None:
        """The done rule's word after an end; a filesystem that cannot tell is asked again, because the work of hours depends on it."""
        give_up = time.monotonic() + _LOOK_AGAIN_S
        tries = 0
        while True:
            try:
                return rule.is_done(path)
            except CannotLook as error:
                log.warning("run.look_again jobfile=%s error=%s", path, error)
                if time.monotonic() > give_up or self._holdings.draining:
                    raise
            self._sleep(_LOOK_EVERY_S[min(tries, len(_LOOK_EVERY_S) - 1)])
            tries += 1

    # -- result records -------------------------------------------------------------------------------------------------------------

    def _earlier_record(self, claim: Claim) -> Record | None:
        """What an attempt left behind that ended and could not be settled (LEASES rule 18); there is none before the first.

        The record of a claim that was settled is about to be removed: a retry may be claimed before that is done.
        """
        if claim.attempt == 1:
            return None
        record = read_record(self._records, claim.job_id, claim.attempt - 1)
        return None if record is None or record.token == claim.ended_token else record

    def _settle_by_record(self, claim: Claim, record: Record) -> tuple[Ending, Conclusion]:
        log.info("run.record_found jobfile=%s attempt=%d", claim.path, record.attempt)
        try:
            rule = _rule(claim, read_jobfile(Path(claim.path)))
        except (BadJobfile, BadRule):
            rule = _campaign_rule(claim)
        ended = Ended(
            exit_code=record.exit_code,
            signal=record.signal,
            outputs=self._outputs(rule, Path(claim.path)),
            ended_for=EndedFor.of(record.ended_for),
        )
        ending = judge(ended)
        # Nothing was started now, so no elapsed time: it would count as a start.
        conclusion = _conclusion(ending, ended, replace(_NOTHING_STARTED, cpu_s=record.cpu_s, max_rss_mb=record.max_rss_mb))
        self._holdings.conclude(claim.token, conclusion)
        # It must be gone before the jobfile can be claimed again under the same number.
        self._holdings.wait_settled(claim.token)
        record_path(self._records, claim.job_id, record.attempt).unlink(missing_ok=True)
        return ending, conclusion


def _rule(claim: Claim, jobfile: Jobfile) -> DoneRule:
    """The header's rule, else the campaign's."""
    return DoneRule.parse(jobfile.options.done) if jobfile.options.done else _campaign_rule(claim)


def _campaign_rule(claim: Claim) -> DoneRule:
    return DoneRule.parse(claim.campaign.get("done") or EXIT_CODE)


def _max_s(claim: Claim, jobfile: Jobfile | None) -> float | None:
    if jobfile is not None and jobfile.options.max_s is not None:
        return jobfile.options.max_s
    text = claim.campaign.get("max_s")
    return float(text) if text else None


def _checkpoint(claim: Claim, jobfile: Jobfile) -> int | None:
    name = jobfile.options.checkpoint_signal or claim.campaign.get("checkpoint_signal")
    return signal_number(name) if name else None


def _grace_s(claim: Claim, jobfile: Jobfile) -> float:
    own = jobfile.options.grace_s
    return float(claim.campaign.get("grace_s") or DEFAULT_GRACE_S) if own is None else own


def _not_runnable(error: BadJobfile | BadRule) -> Ended:
    if isinstance(error, JobfileUnreadable):
        # Another node may have more luck, so it is a failed start, which is tried again.
        return Ended(start_failed=StartFailed(stage="reading the jobfile", message=error.reason))
    return Ended(bad_jobfile=error.reason)


def _conclusion(ending: Ending, ended: Ended, measured: _Measured) -> Conclusion:
    if ending.verdict in (Verdict.HANDED_BACK, Verdict.LOST):
        return HandBack(free=ending.free, reason=ending.reason, elapsed_s=measured.elapsed_s)
    return Outcome(
        verdict=ending.verdict.value,
        reason=ending.reason,
        exit_code=ended.exit_code,
        signal=ended.signal,
        elapsed_s=measured.elapsed_s,
        cpu_s=measured.cpu_s,
        max_rss_mb=measured.max_rss_mb,
        counts_as_failure=ending.counts_as_failure,
        retry=ending.retry,
        fingerprint=measured.fingerprint,
    )


def _celery_word(ending: Ending, claim: Claim) -> str:
    """The same end in Celery's words, for its events and Flower."""
    if ending.verdict in (Verdict.DONE, Verdict.SKIPPED):
        return str(ending.verdict.value)
    if ending.verdict is Verdict.HANDED_BACK:
        raise Reject(ending.reason, requeue=True)
    if ending.verdict in (Verdict.LOST, Verdict.CANCELLED):
        raise Ignore(ending.reason)
    retries = int(claim.campaign.get("retries", DEFAULT_RETRIES))
    if ending.retry and claim.failures + int(ending.counts_as_failure) <= retries:
        raise Retry(ending.reason)
    raise JobfileFailed(ending.reason)
