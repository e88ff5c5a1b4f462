"""The done rule: what each text names, when the outputs count as there, and that no name leads a rule astray."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.done_rule import PRESETS, DoneRule, default_rule
from tasks.errors import BadRule, CannotLook, RuleDoesNotFit

STRIP = "WV03_20180101_10400100AAAAAAAA_10400100BBBBBBBB"
PAIR = f"{STRIP}_502612345678_01_P001_502612345679_01_P001_2"
JOBFILE = Path(f"/d/region_03/jobfiles/2m/qsub_{PAIR}.sh")
BASE = f"/d/region_03/tif_results/2m/{STRIP}_2m/{PAIR}"
SETSM = DoneRule.parse("setsm-scene")


def names(text: str, jobfile: Path = JOBFILE) -> list[str]:
    expected = DoneRule.parse(text).expected(jobfile)
    return [str(p) for p in expected.files] + [f"!{p}" for p in expected.absent]


def test_setsm_scene_names_the_four_outputs_and_the_working_directory() -> None:
    assert len(STRIP) == 47
    products = [f"{BASE}_{product}" for product in ("dem_smooth.tif", "matchtag.tif", "ortho.tif", "meta.txt")]
    assert names("setsm-scene") == [*products, f"!{BASE}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{stem}.tif", ["/d/jobfiles/2m/qsub_A.tif"]),
        ("{name}.done", ["/d/jobfiles/2m/qsub_A.sh.done"]),
        ("out/{parent}/{stem[5:]}.tif", ["/d/jobfiles/2m/out/2m/A.tif"]),
        ("{stem[:4]}.tif", ["/d/jobfiles/2m/qsub.tif"]),
        ("{stem[-1:]}.tif", ["/d/jobfiles/2m/A.tif"]),
        ("{stem:qsub_=scene-}.tif", ["/d/jobfiles/2m/scene-A.tif"]),
        ("{dir}/{stem}.tif", ["/d/jobfiles/2m/qsub_A.tif"]),
        ("{dir:jobfiles=tif_results}/{stem}.tif", ["/d/tif_results/2m/qsub_A.tif"]),
        ("{dir:jobfiles=}/{stem}.tif", ["/d/2m/qsub_A.tif"]),
        ("/abs/{stem}.tif", ["/abs/qsub_A.tif"]),
        ("../{stem}.tif", ["/d/jobfiles/2m/../qsub_A.tif"]),
        ("!{stem}.part, {stem}.tif {stem}.txt?", ["/d/jobfiles/2m/qsub_A.tif", "/d/jobfiles/2m/qsub_A.txt", "!/d/jobfiles/2m/qsub_A.part"]),
        ("'a b/{stem}.tif'", ["/d/jobfiles/2m/a b/qsub_A.tif"]),
        ("{{{stem}}}.tif", ["/d/jobfiles/2m/{qsub_A}.tif"]),
        ("fin-file", ["/d/jobfiles/2m/qsub_A.fin"]),
        ("exit-code", []),
    ],
)
def test_a_pattern_names_its_paths(text: str, expected: list[str]) -> None:
    assert names(text, Path("/d/jobfiles/2m/qsub_A.sh")) == expected


def test_of_several_parts_of_that_name_the_last_is_replaced() -> None:
    assert names("{dir:jobfiles=out}/{stem}", Path("/jobfiles/x/jobfiles/2m/a.sh")) == ["/jobfiles/x/out/2m/a"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("setsm-scne", "did you mean setsm-scene"),
        ("fin-file {stem}.tif", "stands alone"),
        ("{stm}.tif", "is not a field"),
        ("{stem[47]}.tif", "is not a field"),
        ("{stem:47}.tif", "is not a field"),
        ("{stem.tif", "without its other half"),
        ("stem}.tif", "without its other half"),
        ("{stem}_*.tif", "is not expanded"),
        ("~/out/{stem}.tif", "is not expanded"),
        ("$SCRATCH/{stem}.tif", "is not expanded"),
        ("'{stem}.tif", "do not match"),
        ("!{stem}.part", "nothing would ever run"),
        ("{stem}.d/", "names a directory"),
        ("{stem}.tif !{stem}.part?", "may be empty"),
        ("{stem} !", "names no file"),
        ("out{dir}/{stem}", "begin the pattern"),
        ("{dir}", "begin the pattern"),
        ("{dir[:4]}/x", "slice of a path"),
        ("{dir:a=..}/{stem}", "replaces a part"),
    ],
)
def test_a_rule_that_is_none_is_refused_with_an_example(text: str, says: str) -> None:
    with pytest.raises(BadRule, match=says) as caught:
        DoneRule.parse(text)
    assert "{" in caught.value.remedy or "directory" in caught.value.remedy


def test_a_campaigns_rule_must_differ_between_jobfiles() -> None:
    with pytest.raises(BadRule, match="same files for every jobfile"):
        DoneRule.parse_for_campaign("{dir}/all_done.txt")
    assert DoneRule.parse("all_done.txt").expected(JOBFILE).files == (JOBFILE.parent / "all_done.txt",)
    assert all(DoneRule.parse_for_campaign(preset).text == preset for preset in PRESETS)


@pytest.mark.parametrize("path", ["jobfiles/2m/other.sh", "scripts/2m/qsub_a.sh", "jobfiles/2m/qsub_...sh", "jobfiles/2m/qsub_.sh"])
def test_a_rule_that_does_not_fit_a_jobfile_is_refused_and_never_met(path: str) -> None:
    with pytest.raises(RuleDoesNotFit):
        SETSM.expected(Path("/d", path))
    assert SETSM.is_done(Path("/d", path)) is False


def make_scene(root: Path) -> tuple[Path, Path]:
    jobfile = root / "jobfiles" / "2m" / f"qsub_{PAIR}.sh"
    base = root / "tif_results" / "2m" / f"{STRIP}_2m" / PAIR
    jobfile.parent.mkdir(parents=True)
    base.parent.mkdir(parents=True)
    for product in ("dem_smooth.tif", "matchtag.tif", "ortho.tif", "meta.txt"):
        base.with_name(f"{PAIR}_{product}").write_text("x")
    return jobfile, base


def test_a_scene_is_done_when_its_outputs_are_there_and_its_working_directory_is_gone(tmp_path: Path) -> None:
    jobfile, base = make_scene(tmp_path)
    assert SETSM.is_done(jobfile) is True
    base.mkdir()
    assert SETSM.is_done(jobfile) is False
    base.rmdir()
    base.write_text("a file is no working directory")
    assert SETSM.is_done(jobfile) is True


@pytest.mark.parametrize("product", ["dem_smooth.tif", "matchtag.tif", "ortho.tif", "meta.txt"])
def test_a_scene_with_a_missing_empty_or_odd_output_is_not_done(tmp_path: Path, product: str) -> None:
    jobfile, base = make_scene(tmp_path)
    output = base.with_name(f"{PAIR}_{product}")
    output.write_bytes(b"")
    assert SETSM.is_done(jobfile) is False
    output.unlink()
    assert SETSM.is_done(jobfile) is False
    output.mkdir()
    assert SETSM.is_done(jobfile) is False


def test_a_fin_file_may_be_empty(tmp_path: Path) -> None:
    rule = DoneRule.parse("fin-file")
    assert rule.is_done(tmp_path / "a.sh") is False
    (tmp_path / "a.fin").touch()
    assert rule.is_done(tmp_path / "a.sh") is True


def test_a_must_not_exist_pattern_is_broken_by_anything_there(tmp_path: Path) -> None:
    rule = DoneRule.parse("!{stem}.part {stem}.tif")
    (tmp_path / "a.tif").write_text("x")
    assert rule.is_done(tmp_path / "a.sh") is True
    (tmp_path / "a.part").symlink_to("nowhere")
    assert rule.is_done(tmp_path / "a.sh") is False


def test_the_exit_code_rule_looks_at_nothing() -> None:
    assert DoneRule.parse("exit-code").is_done(Path("/nowhere/a.sh")) is None


def test_the_marker_is_looked_at_after_the_files_it_guards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    real = os.stat

    def stat(path: str, **keywords: bool) -> os.stat_result:
        looked.append(Path(path).name)
        return real(path, **keywords)

    (tmp_path / "a.tif").write_text("x")
    monkeypatch.setattr(os, "stat", stat)
    DoneRule.parse("!{stem}.part {stem}.tif").is_done(tmp_path / "a.sh")
    assert looked == ["a.tif", "a.part"]


def test_a_filesystem_that_does_not_answer_is_neither_yes_nor_no(monkeypatch: pytest.MonkeyPatch) -> None:
    def stat(_path: str, **_keywords: bool) -> os.stat_result:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(os, "stat", stat)
    with pytest.raises(CannotLook, match=r"/d/a\.tif: Stale file handle"):
        DoneRule.parse("{stem}.tif").is_done(Path("/d/a.sh"))


RAW_NAMES = st.binary(min_size=1, max_size=60).map(lambda raw: os.fsdecode(raw.translate(bytes.maketrans(b"/\0", b"__"))))
HARD_NAMES = st.sampled_from(["...sh", "qsub_...sh", "qsub_.sh", "qsub_..sh", ".sh", "{stem}.sh", "a'b.sh", "-rf.sh", "x" * 255])
AWKWARD_NAMES = RAW_NAMES.filter(lambda name: name not in (".", "..")) | HARD_NAMES
TEXTS = [
    *(text for text in PRESETS.values() if text),
    "{stem}",
    "{stem[5:]}/x",
    "{stem:qsub_=}",
    "{stem[:2]}",
    "{dir}/{stem}/{parent}",
    "{name}.tif !{stem[3:]}/",
    "{parent[1:]}/{stem}",
]


@given(AWKWARD_NAMES, AWKWARD_NAMES, st.sampled_from(TEXTS))
def test_no_name_leads_a_rule_out_of_its_directory_or_breaks_it(parent: str, name: str, text: str) -> None:
    jobfile = Path("/nowhere/jobfiles") / parent / name
    rule = DoneRule.parse(text)
    assert rule.is_done(jobfile) is False
    try:
        expected = rule.expected(jobfile)
    except RuleDoesNotFit:
        return
    assert all(p.is_relative_to("/nowhere") and ".." not in p.parts for p in (*expected.files, *expected.absent))


@given(st.text(alphabet="{}stemnadir:=[]0159-!?/., '\"\\*xyz", max_size=40) | st.text(max_size=30))
def test_any_text_is_a_rule_or_is_refused(text: str) -> None:
    try:
        rule = DoneRule.parse(text)
    except BadRule:
        return
    # True as well: the text may be the path of a file that is there.
    assert rule.is_done(Path("/nowhere/jobfiles/2m/qsub_a.sh")) in (True, False, None)


@pytest.mark.parametrize(
    ("directory", "listed", "rule"),
    [
        ("/d/jobfiles/2m", ["qsub_a.sh", "qsub_b.sh"], "setsm-scene"),
        ("/d/jobfiles/50cm", ["qsub_a.sh"], "setsm-scene"),
        ("/d/jobfiles/2m", ["qsub_a.sh", "b.sh"], "exit-code"),
        ("/d/jobfiles/2m", ["qsub_a.slurm"], "exit-code"),
        ("/d/jobfiles/2m", [], "exit-code"),
        ("/d/jobfiles/awkward", ["qsub_a.sh"], "exit-code"),
        ("/d/jobfiles", ["qsub_a.sh"], "exit-code"),
        ("/d/2m", ["qsub_a.sh"], "exit-code"),
    ],
)
def test_only_setsm_directories_get_the_setsm_rule_by_default(directory: str, listed: list[str], rule: str) -> None:
    assert default_rule(Path(directory), listed) == rule
