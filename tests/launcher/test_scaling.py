"""How many blocks to submit: what forbids it, what bounds it, and that unknown is never zero."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from site_blocks import HOUR, NOW, block, site, situation, target, waiting

from launcher.block import BlockState
from launcher.demand import Nodes, blocks_needed
from launcher.scaling import Hold, decide, limits

BUSY = Nodes(heard=4)


def dead(number, at=NOW - 30.0):
    return block(number, BlockState.FAILED, started_at=at - 30, ended_at=at, reason="exit code 127")


def refused(number, at=NOW - 30.0):
    return block(number, BlockState.FAILED, job_id="", started_at=None, ended_at=at, reason="Invalid account")


def unknown(number=1, **values):
    return block(number, BlockState.UNKNOWN, reason="squeue has not mentioned it since 10:00", **values)


def busy(count, **values):
    blocks = [block(n, **values) for n in range(1, count + 1)]
    return {"blocks": blocks, "nodes": {b.block_id: BUSY for b in blocks}}


@pytest.mark.parametrize(
    ("values", "submit", "hold"),
    [
        # 100 jobfiles, eight at a time in a block.
        ({"target": target(max_blocks=100)}, 13, Hold.NONE),
        ({}, 10, Hold.FULL),
        ({"waiting": []}, 0, Hold.NONE),
        ({"waiting": [waiting(9)]}, 2, Hold.NONE),
        # What is there, and what comes.
        ({"waiting": [waiting(9)], "blocks": [block(state=BlockState.WAITING)]}, 1, Hold.NONE),
        ({"waiting": [waiting(9)], "blocks": [block(state=BlockState.INTENDED, job_id="")]}, 1, Hold.NONE),
        ({"waiting": [waiting(9)], **busy(1)}, 2, Hold.NONE),
        ({"waiting": [waiting(9)], "blocks": [block(drained_at=NOW)], "nodes": {"b1": Nodes(heard=4, free=4)}}, 2, Hold.NONE),
        # What is over frees its place, what leaves does not.
        ({"blocks": [block(n, BlockState.ENDED) for n in range(9)], "heard": [f"b{n}" for n in range(9)]}, 10, Hold.FULL),
        ({"blocks": [block(n, BlockState.LEAVING) for n in range(9)]}, 1, Hold.FULL),
        # Of another campaign.
        ({"target": target(campaigns=("other",))}, 0, Hold.NONE),
        ({"target": target(campaigns=("conus-2m",))}, 10, Hold.FULL),
        # While anything waits there shall be three.
        ({"waiting": [waiting(1)], "target": target(min_blocks=3)}, 3, Hold.NONE),
        ({"waiting": [], "target": target(min_blocks=3)}, 0, Hold.NONE),
        ({"waiting": [waiting(1)], "target": target(min_blocks=3), **busy(2)}, 1, Hold.NONE),
        ({"target": target(max_blocks=0)}, 0, Hold.FULL),
        ({"waiting": [waiting(5, estimate_s=30 * HOUR)]}, 0, Hold.UNFIT),
        # The site's limits, with jobs that are not ours; one in another queue is nothing to it.
        ({"site": site(max_running=3)}, 3, Hold.FULL),
        ({"site": site(max_running=3), "others": {"skx": (1, 5)}}, 2, Hold.FULL),
        ({"site": site(max_submitted=3), "others": {"skx": (1, 1)}}, 1, Hold.FULL),
        ({"site": site(max_submitted=3), "others": {"skx": (2, 2)}}, 0, Hold.FULL),
        ({"site": site(max_submitted=3), "others": {"icx": (9, 9)}}, 3, Hold.FULL),
        ({"site": site(max_submitted=3, partition=""), "others": {"icx": (1, 1)}}, 1, Hold.FULL),
        ({"site": site(max_submitted=3), **busy(2, site="skx-short", partition="skx,skx-dev")}, 1, Hold.FULL),
        ({"site": site(submissions_per_hour=4)}, 4, Hold.HOUR),
        ({"site": site(submissions_per_hour=4), **busy(3, submitted_at=NOW - 60)}, 1, Hold.HOUR),
        ({"site": site(submissions_per_hour=4), **busy(3)}, 4, Hold.HOUR),
        ({"target": target(max_su=200.0)}, 2, Hold.PURSE),
        ({"target": target(max_su=200.0), **busy(1)}, 1, Hold.PURSE),
        # Not of this wish: submitted by hand for another campaign, or long before.
        ({"target": target(max_su=200.0, campaigns=("conus-2m",)), **busy(1)}, 2, Hold.PURSE),
        ({"target": target(max_su=200.0, since=NOW), **busy(1)}, 2, Hold.PURSE),
        # What forbids everything.
        ({"paused": "3 blocks died"}, 0, Hold.PAUSED),
        ({"silence": "squeue did not answer in 60 s"}, 0, Hold.SILENT),
        ({"blocks": [unknown()]}, 0, Hold.UNKNOWN),
        ({"blocks": [unknown(site="icx", partition="icx")]}, 0, Hold.UNKNOWN),
        ({"blocks": [unknown(provider="local", site="local")]}, 10, Hold.FULL),
        ({"blocks": [dead(1)]}, 0, Hold.BACK_OFF),
        ({"blocks": [dead(1, NOW - 61)]}, 10, Hold.FULL),
        ({"blocks": [dead(1, NOW - 899), dead(2, NOW - 898)]}, 0, Hold.BACK_OFF),
        ({"blocks": [dead(1, NOW - 899), dead(2, NOW - 898)], "resumed_at": NOW - 1}, 10, Hold.FULL),
        ({"blocks": [dead(n, NOW - 9 * HOUR) for n in (1, 2, 3)]}, 0, Hold.PAUSED),
        ({"blocks": [refused(n, NOW - 9 * HOUR) for n in range(10)]}, 0, Hold.PAUSED),
        ({"blocks": [refused(n, NOW - 9 * HOUR) for n in range(9)]}, 10, Hold.FULL),
        ({"blocks": [dead(n, NOW - 9 * HOUR) for n in (1, 2, 3)], "resumed_at": NOW - 1}, 10, Hold.FULL),
    ],
)
def test_how_many_are_submitted_and_what_keeps_it_from_being_more(values, submit, hold):
    decision = decide(situation(**values))
    assert (decision.submit, decision.hold) == (submit, hold)
    assert bool(decision.why) is (hold is not Hold.NONE)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"silence": "squeue did not answer in 60 s"}, "squeue did not answer in 60 s"),
        ({"blocks": [unknown(1), unknown(2)]}, "it is not known what became of block b1 (and of 1 more): squeue has not mentioned it"),
        ({"blocks": [refused(1)]}, "the last block, b1, was refused (Invalid account); tried again at"),
        ({"blocks": [dead(1)]}, "the last block, b1, died young (exit code 127); tried again at"),
        ({"target": target(max_su=200.0)}, "another block could cost 96 SU, and all together may cost 200 SU"),
        ({"site": site(max_running=3)}, "the site lets a user have 3 jobs running"),
        ({"waiting": [waiting(5, estimate_s=30 * HOUR)]}, "the 5 jobfiles that wait take longer than its walltime, 24:00:00"),
    ],
)
def test_the_words_name_what_was_seen(values, words):
    assert words in decide(situation(**values)).why


def test_forty_two_blocks_that_an_answer_omits_are_not_submitted_again():
    """The predecessor's failure 5: it saw 0 of 42 blocks and asked for 43 more."""
    known = [block(n) for n in range(42)]
    seen = [replace(b, state=BlockState.UNKNOWN, missing_since=NOW) for b in known]
    wish = target(max_blocks=85)
    assert decide(situation(target=wish, blocks=seen, waiting=[waiting(5000)])).submit == 0
    # Who reads "not mentioned" as "ended" submits them all over again.
    naive = [replace(b, state=BlockState.ENDED, ended_at=NOW) for b in known]
    room = situation(target=wish, blocks=naive, site=site(submissions_per_hour=100), waiting=[waiting(5000)])
    assert decide(room).submit == 85


STATES = st.sampled_from(list(BlockState))
BLOCKS = st.lists(
    st.builds(
        lambda number, state, age, of, bound: block(
            number, state, submitted_at=NOW - age, site=of, partition=of, campaigns=bound,
            started_at=NOW - age / 2 if state is not BlockState.WAITING else None, ended_at=NOW - age / 4 if state.is_over else None,
        ),
        st.integers(1, 10_000), STATES, st.floats(0, 4 * HOUR), st.sampled_from(["skx", "icx"]), st.sampled_from([(), ("conus-2m",)]),
    ),
    max_size=12,
    unique_by=lambda b: b.block_id,
)  # fmt: skip
SITUATIONS = st.builds(
    situation,
    site=st.builds(
        site, max_running=st.none() | st.integers(1, 6), max_submitted=st.none() | st.integers(1, 8),
        submissions_per_hour=st.integers(1, 8),
    ),
    target=st.builds(
        lambda least, more, su, bound: target(min_blocks=least, max_blocks=least + more, max_su=su, campaigns=bound),
        st.integers(0, 3), st.integers(0, 9), st.none() | st.floats(0, 2000), st.sampled_from([(), ("conus-2m",)]),
    ),
    blocks=BLOCKS,
    waiting=st.lists(
        st.builds(waiting, st.integers(0, 300), st.sampled_from(["conus-2m", "other"]), per_node=st.integers(0, 2)), max_size=3
    ),
    silence=st.sampled_from(["", "", "", "squeue said nothing"]),
    paused=st.sampled_from(["", "", "", "a person must look"]),
    others=st.dictionaries(st.sampled_from(["skx", "icx"]), st.tuples(st.integers(0, 3), st.integers(0, 3))),
    resumed_at=st.sampled_from([0.0, NOW]),
)  # fmt: skip


def living(now):
    return [b for b in now.blocks if not b.state.is_over]


@given(SITUATIONS)
def test_nothing_is_submitted_while_anything_is_unknown_silent_or_paused(now):
    if now.silence or now.paused or any(b.state is BlockState.UNKNOWN for b in now.blocks):
        assert decide(now).submit == 0


@given(SITUATIONS)
def test_no_cap_is_ever_exceeded(now):
    submit = decide(now).submit
    if not submit:
        return
    in_partition = sum(b.partition == "skx" for b in living(now)) + submit
    running, waits = now.others.get("skx", (0, 0))
    of_target = [b for b in living(now) if b.site == "skx" and b.campaigns == now.target.campaigns]
    assert len(of_target) + submit <= now.target.max_blocks
    assert now.site.max_running is None or in_partition + running <= now.site.max_running
    assert now.site.max_submitted is None or in_partition + running + waits <= now.site.max_submitted
    assert sum(b.submitted_at > NOW - HOUR for b in now.own) + submit <= now.site.submissions_per_hour
    assert now.target.max_su is None or submit * now.site.block_su_max <= now.target.max_su
    assert all(bound.most >= submit for bound in limits(now))


@given(SITUATIONS)
def test_never_more_than_the_backlog_needs_or_the_minimum_asks(now):
    assert 0 <= decide(now).submit <= max(blocks_needed(now.site, now.wanted, []), now.target.min_blocks)


@given(SITUATIONS)
def test_a_step_that_has_done_what_was_decided_decides_nothing_more_in_the_same_moment(now):
    """What one launcher has submitted the next one sees: two in a row do not add up."""
    first = decide(now)
    added = [
        block(20_000 + n, BlockState.WAITING, submitted_at=NOW, campaigns=now.target.campaigns) for n in range(first.submit)
    ]
    assert decide(replace(now, blocks=[*now.blocks, *added])).submit == 0
