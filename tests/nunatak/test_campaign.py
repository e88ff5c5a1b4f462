"""A campaign's name and options, and what they make of its jobfiles."""

from pathlib import Path

import pytest

from broker.records import Campaign, State
from nunatak.campaign import Request, changes, check_name, default_name, effective, entry_of, options_given, to_store
from nunatak.errors import WrongUse
from tasks.jobfile import Hints, Jobfile, JobfileOptions

DIR = Path("/data/region_03_conus/jobfiles/2m")


def request(**options: str) -> Request:
    return Request(directory=DIR, options=options)


def stored(**options: str) -> Campaign:
    return Campaign(name="c", number="1", options=options, counts={s: 0 for s in State}, skipped=0, paused=None)


def jobfile(hints: Hints | None = None, **options: object) -> Jobfile:
    own = JobfileOptions(**options)  # type: ignore[arg-type]
    return Jobfile(path=DIR / "qsub_A.sh", interpreter=("/bin/bash",), options=own, hints=hints or Hints(), fingerprint="f", warnings=())


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("/data/region_03_conus/jobfiles/2m", "region_03_conus-2m"),
        ("/data/jobfiles", "data"),
        ("/data/a b/c=d", "a_b-c_d"),
        ("/jobfiles", "campaign"),
        ("/", "campaign"),
        ("/data/-x/-y", "x--y"),
    ],
)
def test_the_default_name_is_the_last_two_parts_without_jobfiles(directory, name):
    assert default_name(Path(directory)) == name
    check_name(name)


@pytest.mark.parametrize("name", ["", "-x", " x", "a/b", "a=b", "a\nb", "x" * 201])
def test_a_name_that_commands_could_not_take_is_refused(name):
    with pytest.raises(WrongUse, match="--campaign"):
        check_name(name)


def test_options_are_kept_in_the_servers_units():
    given = options_given({"time": "11h", "max": None, "mem": "90G", "per_node": "2", "priority": "0"})
    assert given == {"time_s": "39600", "mem_mb": "92160", "per_node": "2", "priority": "0"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("time", "11", "--time '11' is a number without a unit; write 11h"),
        ("per_node", "two", "--per-node 'two' is not a whole number from 1"),
        ("priority", "10", "--priority '10' is not a whole number from 0 to 9"),
        ("done", "all.tif", "--done done rule 'all.tif' names the same files for every jobfile"),
    ],
)
def test_a_wrong_option_is_said_as_it_was_typed(name, text, said):
    with pytest.raises(WrongUse) as caught:
        options_given({name: text})
    assert str(caught.value).startswith(said)


def test_a_new_campaign_has_the_defaults():
    assert effective(request(), None, "setsm-scene") == {"retries": "3", "priority": "5", "done": "setsm-scene"}


def test_options_that_are_not_given_again_stay_as_they_were():
    has = stored(retries="7", done="fin-file", per_node="2", name="c", streak="4")
    options = effective(request(priority="9"), has, "setsm-scene")
    assert options == {"retries": "7", "done": "fin-file", "per_node": "2", "priority": "9"}


def test_an_empty_option_is_the_default_again():
    has = stored(retries="7", done="fin-file", per_node="2", priority="5")
    again = request(retries="", per_node="")
    options = effective(again, has, "setsm-scene")
    assert options == {"retries": "3", "done": "fin-file", "priority": "5"}
    assert to_store(again, has, options) == {"retries": "3", "per_node": "", "umask": "022"}


def test_only_what_differs_is_written_and_said():
    has = stored(retries="3", priority="5", done="exit-code")
    wanted = request(priority="9", time_s="60")
    options = effective(wanted, has, "exit-code")
    assert to_store(wanted, has, options) == {"priority": "9", "time_s": "60", "umask": "022"}
    assert changes(has, options) == ["priority 5 -> 9", "time unset -> 60"]
    assert changes(None, options) == []


def test_a_jobfiles_own_header_is_above_the_campaign():
    options = {"priority": "9", "per_node": "2", "time_s": "60"}
    entry = entry_of(jobfile(priority=0, time_s=7200.0), options, "absent")
    assert (entry.priority, entry.per_node, entry.estimate_s, entry.own) == (0, 2, 7200.0, ("priority", "time"))
    assert entry_of(jobfile(), options, "absent").own == ()


def test_a_walltime_asked_of_another_scheduler_is_no_estimate():
    assert entry_of(jobfile(hints=Hints(time_s=172800.0)), {}, "absent").estimate_s == 0
