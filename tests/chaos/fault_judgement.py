"""What a round of random faults has left, and what of it breaks the promise: by the jobfiles' own log, then by the ledger."""

from collections import Counter
from dataclasses import dataclass

from chaos.fault_plan import ENDS_NODE, Fault, Plan
from whole.run_log import Run

from broker.records import Campaign, Job, State


@dataclass(frozen=True, kw_only=True)
class Blow:
    """A fault that hit something."""

    fault: Fault
    #: Unix seconds.
    at: float
    #: The life of the node that it hit; empty if it hit no node.
    block: str


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a round has left, in the jobfiles' log and in the ledger."""

    plan: Plan
    blows: tuple[Blow, ...]
    runs: tuple[Run, ...]
    #: Token -> the life of the node on which it ran.
    blocks: dict[str, str]
    #: Names whose outputs are there.
    made: frozenset[str]
    #: Names that found their outputs there when they wanted to make them.
    again: tuple[str, ...]
    jobs: dict[str, Job]
    campaign: Campaign
    #: Keys that must be empty -> how much is in them.
    sizes: dict[str, int]
    #: Result records that nobody has removed: garbage, which is counted and not judged.
    records: int
    #: Processes of ours that live on.
    processes: tuple[str, ...]
    #: What ended that nobody had touched.
    surprises: tuple[str, ...]

    def summary(self) -> str:
        kinds = Counter(blow.fault.kind.value for blow in self.blows)
        cut = sum(not run.ended for run in self.runs)
        return (f"seed {self.plan.seed}: {len(self.blows)} faults ({', '.join(f'{n} {kind}' for kind, n in sorted(kinds.items()))}); "
                f"{len(self.plan.works)} jobfiles, {len(self.runs)} runs, {cut} cut short"
                + (f", {self.records} records left" if self.records else ""))  # fmt: skip


def judge(seen: Seen) -> list[str]:
    """Everything that breaks the promise, in words; empty if nothing does."""
    return [*_lost(seen), *_twice(seen), *_ran_on(seen), *_cut_without_cause(seen), *_wrongly_recorded(seen), *_left(seen)]


def _lost(seen: Seen) -> list[str]:
    return [f"LOST {work.name}: its output is not there" for work in seen.plan.works if work.name not in seen.made]


def _twice_at_once(runs: tuple[Run, ...]) -> list[tuple[Run, Run]]:
    """Runs of one jobfile of which the earlier one showed a sign of life when the later one had begun."""
    latest: dict[str, Run] = {}
    found = []
    for run in sorted(runs, key=lambda run: run.first):
        before = latest.get(run.name)
        if before is not None and before.last > run.first:
            found.append((before, run))
        if before is None or run.last > before.last:
            latest[run.name] = run
    return found


def _twice(seen: Seen) -> list[str]:
    overlaps = [f"TWICE AT ONCE for {a.last - b.first:.3f} s: {a} and {b}" for a, b in _twice_at_once(seen.runs)]
    ends = Counter(run.name for run in seen.runs if run.ended)
    twice = {*(name for name, times in ends.items() if times > 1), *seen.again}
    return [*overlaps, *(f"DONE TWICE {name}" for name in sorted(twice))]


def _ran_on(seen: Seen) -> list[str]:
    """From the moment a jobfile was taken from its node anybody could start it: until then it must have been frozen or ended there."""
    lost = {(name, attempt.number, attempt.block): attempt.ended_at or 0.0
            for name, job in seen.jobs.items() for attempt in (*job.earlier, job.latest) if attempt.ending == "lost"}  # fmt: skip
    keys = {run.token: (run.name, run.attempt, seen.blocks.get(run.token)) for run in seen.runs}
    return [f"RAN ON for {run.last - lost[keys[run.token]]:.3f} s after it was taken from its node: {run}"
            for run in seen.runs if run.last > lost.get(keys[run.token], run.last)]  # fmt: skip


def _cut_without_cause(seen: Seen) -> list[str]:
    """No failure of the broker may cost a running jobfile its work; only what happens to its own node may."""
    return [f"CUT SHORT on {seen.blocks.get(run.token)} with no fault there: {run}"
            for run in seen.runs if not run.ended and run.name not in seen.again and not _has_cause(run, seen)]  # fmt: skip


def _has_cause(run: Run, seen: Seen) -> bool:
    hits = [blow for blow in seen.blows if blow.block and blow.block == seen.blocks.get(run.token)]
    return any(blow.fault.kind in ENDS_NODE or run.first - 1 < blow.at < run.last + 1 for blow in hits)


def _wrongly_recorded(seen: Seen) -> list[str]:
    not_done = [f"NOT DONE {name}: {job.state.value}, {job.latest}" for name, job in seen.jobs.items() if job.state is not State.DONE]
    runs = Counter(run.name for run in seen.runs)
    unseen = [f"UNRECORDED {name}: it ran {runs[name]} times, the ledger knows {job.latest.number} attempts"
              for name, job in seen.jobs.items() if job.latest.number < runs[name]]  # fmt: skip
    wanted = {state: len(seen.plan.works) if state is State.DONE else 0 for state in State}
    wrong = [] if seen.campaign.counts == wanted else [f"COUNTS are {seen.campaign.counts}"]
    missing = {work.name for work in seen.plan.works} - set(seen.jobs)
    return [*not_done, *unseen, *wrong, *(f"NO RECORD of {name}" for name in sorted(missing))]


def _left(seen: Seen) -> list[str]:
    return [*(f"LEFT in {key}: {size}" for key, size in seen.sizes.items() if size),
            *(f"PROCESS LEFT {words}" for words in seen.processes), *seen.surprises]  # fmt: skip
