"""What a jobfile's comment lines say, and that a slip in ours is an error with a way out."""

from dataclasses import asdict, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.header import _OPTIONS, BadHeader, Hints, JobfileOptions, parse_header


def options(*lines: str) -> dict[str, object]:
    text = "\n".join(("#!/bin/bash", *lines, "echo ok", ""))
    return {key: value for key, value in asdict(parse_header(text.encode()).options).items() if value is not None}


def hints(*lines: str) -> Hints:
    return parse_header("\n".join(("#!/bin/bash", *lines, "echo ok", "")).encode()).hints


def test_all_options_are_read_from_one_line() -> None:
    assert options("#NUNATAK time=11h max=48h cpus=24 mem=90G per_node=2 done={stem}.fin priority=7") == {
        "time_s": 39600,
        "max_s": 172800,
        "cpus": 24,
        "mem_mb": 92160,
        "per_node": 2,
        "done": "{stem}.fin",
        "priority": 7,
    }


def test_options_may_stand_in_several_lines_with_quotes_and_remarks() -> None:
    lines = ("", "# SETSM, 2 m", "#NUNATAK time=11h", "#NUNATAK done='{stem}.tif {stem}#1.txt'  # both outputs", "#NUNATAK")
    assert options(*lines) == {"time_s": 39600, "done": "{stem}.tif {stem}#1.txt"}


def test_every_option_has_a_field() -> None:
    assert {name for name, _ in _OPTIONS.values()} == {field.name for field in fields(JobfileOptions)}


@pytest.mark.parametrize(
    ("line", "reason", "remedy"),
    [
        ("#NUNATAK walltme=11h", "unknown option 'walltme'; did you mean time?", "the options are time, max"),
        ("#NUNATAK walltime=11h", "did you mean time?", "key=value"),
        ("#NUNATAK per-node=2", "did you mean per_node?", "key=value"),
        ("#NUNATAK Time=11h", "did you mean time?", "key=value"),
        ("#NUNATAK xyzzy=2", "unknown option 'xyzzy'", "key=value"),
        ("#NUNATAK time 11h", "'time' is no option; did you mean time=…?", "key=value"),
        ("#NUNATAK time=11", "time: '11' is a number without a unit", "11h"),
        ("#NUNATAK time=", "time: ''", "11h"),
        ("#NUNATAK cpus=many", "cpus: 'many' is not a whole number", "write one"),
        ("#NUNATAK mem=90", "mem: '90' is a number without a unit", "90G"),
        ("#NUNATAK priority=10", "priority: '10' is not a whole number from 0 to 9", "write one"),
        ("#NUNATAK per_node=0", "per_node: '0'", "write one"),
        ("#NUNATAK done={stm}", "done: done rule '{stm}'", "{stem}"),
        ("#NUNATAK done='{stem}", "quotes in", "quote a value"),
        ("#NUNATAK time=11h time=12h", "time is given twice, first in line 3", "remove one"),
        ("#NUNATAK time=11h max=2h", "max=2h 00m is less than time=11h 00m", "expected"),
    ],
)
def test_a_slip_in_our_header_is_an_error_with_its_line_and_a_way_out(line: str, reason: str, remedy: str) -> None:
    with pytest.raises(BadHeader) as caught:
        options("#", line)
    assert caught.value.line == 3
    assert reason in caught.value.reason
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["#SBATCH --time=11:00:00", "#SBATCH --cpus-per-task=24", "#SBATCH --mem=90G"], Hints(time_s=39600, cpus=24, mem_mb=92160)),
        (["#SBATCH -t 30 -c24 --mem 4000 # a remark"], Hints(time_s=1800, cpus=24, mem_mb=4000)),
        (["#SBATCH -c 4 --mem-per-cpu=2G"], Hints(cpus=4, mem_mb=8192)),
        (["#SBATCH --mem=0 --time=UNLIMITED --exclusive -N 1"], Hints()),
        (["#PBS -l walltime=11:00:00,mem=90gb", "#PBS -l nodes=1:ppn=24"], Hints(time_s=39600, cpus=24, mem_mb=92160)),
        (["#PBS -l select=1:ncpus=24:mem=90gb -l walltime=3600 -l pmem=1gb"], Hints(time_s=3600, cpus=24, mem_mb=92160)),
        (["# SBATCH --time=1:00:00", "##SBATCH --time=1:00:00", "#SBATCHED"], Hints()),
        (["echo first", "#SBATCH --time=1:00:00"], Hints()),
    ],
)
def test_a_schedulers_header_gives_hints(lines: list[str], expected: Hints) -> None:
    assert hints(*lines) == expected


def test_a_hint_that_cannot_be_read_is_a_warning() -> None:
    header = parse_header(b"#!/bin/bash\n#SBATCH --time=soon\necho ok\n")
    assert header.hints == Hints()
    assert header.warnings == ("line 2: '#SBATCH --time=soon' gives no hint: 'soon' is not a duration",)


@pytest.mark.parametrize("line", ["# NUNATAK time=1h", "#nunatak time=1h", "##NUNATAK time=1h", "#NUNATAK: time=1h", "#NUNATAKtime=1h"])
def test_an_option_in_another_spelling_is_warned_of(line: str) -> None:
    header = parse_header(f"#!/bin/bash\n{line}\necho ok\n".encode())
    assert header.options == JobfileOptions()
    assert "line 2" in header.warnings[0]
    assert "'#NUNATAK key=value'" in header.warnings[0]


def test_an_option_after_the_first_command_is_warned_of() -> None:
    header = parse_header(b"#!/bin/bash\necho ok\n#NUNATAK tme=11h\n")
    assert header.options == JobfileOptions()
    assert header.warnings == ("line 3: '#NUNATAK tme=11h' is ignored: it stands after the first command; move it up",)


def test_prose_about_nunatak_is_no_slip() -> None:
    assert parse_header(b"#!/bin/bash\n# nunatak runs this\n#NUNATAK\necho ok\n").warnings == ()


@given(st.binary(max_size=200) | st.text(alphabet="#NUATKsbchp \n=time'\"{}dones-0:1", max_size=200).map(str.encode))
def test_any_text_has_a_header_or_is_refused(text: bytes) -> None:
    try:
        parse_header(b"#!/bin/bash\n#NUNATAK " + text)
    except BadHeader as error:
        assert 2 <= error.line <= text.count(b"\n") + 2  # noqa: PT017 - most texts raise nothing


def test_a_warning_before_the_end_and_its_grace():
    options = parse_header(b"#!/bin/bash\n#NUNATAK checkpoint_signal=sigusr2 grace=90s\n").options
    assert (options.checkpoint_signal, options.grace_s) == ("USR2", 90.0)


def test_a_signal_that_is_none_is_an_error_with_its_line():
    with pytest.raises(BadHeader) as error:
        parse_header(b"#!/bin/bash\n#NUNATAK checkpoint_signal=USR3\n")
    assert (error.value.line, error.value.reason) == (2, "checkpoint_signal: 'USR3' is no signal; did you mean USR2?")
