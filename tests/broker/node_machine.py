"""Nodes on which jobfiles fail at once, beside nodes on which they do well: few rules of the lease machine, and stories."""

from collections.abc import Callable, Sequence

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from lease_machine import LeaseMachine
from lease_records import BAD_ENDS, HOLDERS
from lease_users import UserRules
from lease_world import NAMES, LeaseWorld

from broker.lease import Holder

#: Which node, what it does, how often: + ends well, s finds done, - fails, x fails for good, h claims and starts and keeps, o outlives the
#: first minute with what it keeps, w ends that well, l lets it fail, ? claims and does not hear the answer, ! asks again, r renews;
#: R: a person retries what has failed; P: ten minutes pass, and it renews; D: its block is drained, N: a new block has that name.
STORIES = (
    "0-5 1+3", "1+3 0-3", "1+2 0-4", "1+3 0-4 1-3", "1+3 2-1 0-3", "0-3 2-3 1+5", "0-5 2-1 1+3", "0-2 1+5 0-3", "1+3 0-3 0+2",
    "1+3 0x3 0r1", "0h2 1+3 0-3 0l2", "0h1 0-4 1w1 1+3 0w1", "1h3 0-2 1o1 0-3", "0-3 1h2 2h1 1o1 2o1", "0?1 1+3 0-4 0!1",
    "0-5 0-1 1+6", "0-5 1h3 2h3 1l2", "1+3 0-1 0+1 0-2", "1x1 2x1 0x4 1+3", "0+3 0-3", "0-2 1+3 2+1 1-2 0-2",
    "1+3 0h3 0o1 0l3", "1+3 0-2 0s1 0-1", "1+1 0x2 0R1 1-5",
    "0D1 0+1 1+1 0r1 1D1 1+1 2+1", "1?1 1D2 1!1 1N1 1+1 1r1", "1h2 1o1 1P7 2+1 0-3", "1+3 1P7 0-3",
)  # fmt: skip
parts = st.tuples(st.sampled_from("012"), st.sampled_from("++---xhowl?!rsRPDN"), st.sampled_from("123")).map("".join)
stories = st.sampled_from(STORIES) | st.lists(parts, min_size=3, max_size=6).map(" ".join)


class NodeMachine(LeaseMachine):
    @rule(who=st.permutations(HOLDERS), story=stories, anew=st.sampled_from((True, True, False)))
    def a_story(self, who: Sequence[Holder], story: str, anew: bool) -> None:
        if anew:
            self._begin_anew()
        for part in story.split():
            self._play(who[int(part[0])], part[1], int(part[2]))

    def tell_all(self) -> None:
        for story in STORIES:
            NodeMachine(self.server).tell(story)

    def tell(self, story: str) -> None:
        """One story alone, looked at after each part."""
        self.a_campaign_is_enqueued()
        for part in story.split():
            self._play(HOLDERS[int(part[0])], part[1], int(part[2]))
            self.the_server_is_as_the_model()

    def _begin_anew(self) -> None:
        """A campaign begins, or somebody has looked at it."""
        if waiting := [i for i, j in self.model.jobs.items() if j.state == "queued"]:
            self._twice("cancel", waiting)
        self._enqueue_all()
        self._pause(self.model.campaigns["plain"], "")

    def _enqueue_all(self) -> None:
        self._enqueue("plain", [(name, 0, 0, "absent") for name in NAMES], again=True, dry_run=False)

    def _play(self, holder: Holder, what: str, times: int) -> None:
        does: dict[str, Callable[[], None]] = {
            "+": lambda: self._run(holder, "done", True),
            "-": lambda: self._run(holder, "failed", True),
            "x": lambda: self._run(holder, "failed", False),
            "h": lambda: self._take(holder),
            "s": lambda: self._skip(holder),
            "R": self._retry_all,
            "o": lambda: self._outlive(holder),
            "P": lambda: self._run_on(holder),
            "D": lambda: self._drain(holder.block),
            "N": lambda: self._begin_block(holder.block),
            "w": lambda: self._end_kept(holder, "done"),
            "l": lambda: self._end_kept(holder, "failed"),
            "?": lambda: self._claim(self.next("t"), holder, "all", "lost"),
            "!": self._ask_again,
            "r": lambda: self._renew(holder, "heard"),
        }
        for _ in range(times):
            does[what]()
        if what == "+":
            self._enqueue_all()

    def _take(self, holder: Holder) -> None:
        self._claim(self.next("t"), holder, "all", "heard")
        if self.hands:
            self._start(self.hands[-1])

    def _run(self, holder: Holder, verdict: str, retry: bool) -> None:
        before = len(self.hands)
        self._take(holder)
        if len(self.hands) > before:
            self._end(self.hands[-1], verdict, "exit 1", True, retry)

    def _skip(self, holder: Holder) -> None:
        before = len(self.hands)
        self._claim(self.next("t"), holder, "all", "heard")
        if len(self.hands) > before:
            self._end(self.hands[-1], "skipped", "outputs were there", False, False)

    def _retry_all(self) -> None:
        if bad := [i for i, j in self.model.jobs.items() if j.state in BAD_ENDS]:
            self._twice("retry", bad)

    def _outlive(self, holder: Holder) -> None:
        self.pass_with_beats(61_000)
        self._renew(holder, "heard")

    def _run_on(self, holder: Holder) -> None:
        for _ in range(3):
            self.pass_with_beats(200_000)
            self._renew(holder, "heard")

    def _drain(self, block: str) -> None:
        self.server.client.sadd("blocks", block)
        expected = "already" if block in self.model.drained else "draining"
        said = self.ask(lambda: self.ledger.drain_block(block))
        assert said in (None, expected)
        if said == "draining":
            self.model.drained.add(block)
            self.model.ring()

    def _begin_block(self, block: str) -> None:
        self.server.client.delete(f"block:{block}")
        self.model.drained.discard(block)

    def _end_kept(self, holder: Holder, verdict: str) -> None:
        if kept := [h for h in self.hands if h.holder is holder and not h.ended]:
            self._end(kept[-1], verdict, "exit 1", True, True)

    def _ask_again(self) -> None:
        if self.unanswered:
            self._claim(*self.unanswered.pop(), "all", "heard")

    @precondition(lambda self: self.model.bad)
    @rule(pick=st.integers(0, 3))
    def a_bad_node_is_forgiven(self, pick: int) -> None:
        node, block = sorted(self.model.bad)[pick % len(self.model.bad)]
        if self.ask(lambda: (self.ledger.forgive_node(node, block),)) == (1,):
            self.model.forgive((node, block))


# Of the other rules only a few are kept: a schedule is to consist of stories.
for _name, _rule in vars(LeaseMachine).items() | vars(UserRules).items() | vars(LeaseWorld).items():
    if hasattr(_rule, "hypothesis_stateful_rule") and _name not in ("a_worker_goes_on_as_it_should", "retry", "time_passes"):
        setattr(NodeMachine, _name, None)
