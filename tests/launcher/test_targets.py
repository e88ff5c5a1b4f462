"""What launchers remember of a site."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.targets import SiteState, Target, key_of

NAMES = st.sets(st.text(min_size=1).filter(lambda name: "," not in name and name != "*"), max_size=3).map(sorted).map(tuple)
BOUND = st.none() | st.floats(0, 1e9)


@given(campaigns=NAMES, least=st.integers(0, 5), more=st.integers(0, 5), su=BOUND, since=st.floats(0, 2e9), ends=st.booleans())
def test_a_target_comes_back_as_it_was_recorded(campaigns, least, more, su, since, ends):
    target = Target(campaigns=campaigns, min_blocks=least, max_blocks=least + more, max_su=su, since=since, until_ended=ends)
    state = SiteState.from_fields({"source": "/x.toml", **target.to_fields()})
    assert state.targets == (target,)
    assert state.target(reversed(campaigns)) == target
    assert state.source == "/x.toml"


def test_targets_of_different_campaigns_do_not_touch_each_other():
    fields = [Target(campaigns=names, max_blocks=1, since=0.0).to_fields() for names in ((), ("a",), ("a", "b"))]
    assert len({name for each in fields for name in each}) == 3
    assert (key_of(()), key_of(("b", "a"))) == ("*", "a,b")


def test_a_target_that_no_number_of_blocks_can_meet_is_refused():
    with pytest.raises(ValueError, match="0 <= min <= max"):
        Target(min_blocks=3, max_blocks=2, since=0.0)


def test_since_when_something_is_held_stays_while_it_is():
    nothing = SiteState.from_fields({})
    first = nothing.since("held", "squeue hung", 100.0)
    assert first == {"held": "squeue hung", "held_since": "100.000"}
    then = SiteState.from_fields(first)
    assert then.since("held", "squeue hung", 200.0) == {}
    # Other words, the same trouble.
    assert then.since("held", "squeue ended with 1", 200.0) == {"held": "squeue ended with 1"}
    assert then.since("held", "", 300.0) == {"held": "", "held_since": ""}
    assert nothing.since("held", "", 300.0) == {}
