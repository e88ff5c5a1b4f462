"""Site files: what they may say, and how a mistake in one is named."""

from pathlib import Path

import pytest

from launcher.errors import BadSite, NoSite
from launcher.site import CHECKS, Site, parse_walltime
from launcher.site_file import load_site, parse_site, site_names


def _refusal(text: str) -> str:
    with pytest.raises(BadSite) as caught:
        parse_site(Path("mine.toml"), text)
    return str(caught.value)


def test_the_shipped_site_is_this_machine():
    site = load_site("local")
    assert (site.name, site.provider, site.nodes_per_block, site.max_workers, site.walltime_s) == ("local", "local", 1, None, None)


def test_every_shipped_site_can_be_read():
    assert "local" in site_names()
    assert [load_site(name).name for name in site_names()] == list(site_names())


def test_a_commented_line_of_the_shipped_site_works_when_it_is_uncommented(tmp_path):
    text = "".join(line.removeprefix("# ") if " = " in line else line for line in _shipped_text().splitlines(keepends=True))
    text = text.replace('worker_init = """\n', 'worker_init = """\nexport A=1\n"""\n')
    site = parse_site(tmp_path / "mine.toml", text)
    assert (site.max_workers, site.walltime_s, site.worker_init) == (2, 48 * 3600, "export A=1\n")


def _shipped_text() -> str:
    import slurm_templates

    return (Path(slurm_templates.__file__).parent / "sites" / "local.toml").read_text()


def test_a_site_takes_every_known_key():
    site = parse_site(
        Path("mine.toml"),
        'provider = "local"\nmax_workers = 3\nworker_init = "a"\nnode_init = "b"\nwalltime = "1-00:00:00"\nnodes_per_block = 1\n',
    )
    assert site == Site(name="mine", max_workers=3, worker_init="a", node_init="b", walltime="1-00:00:00")
    assert set(CHECKS) == set(Site.__dataclass_fields__) - {"name"}


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_known_one():
    assert _refusal("# hm\n\nmax_worker = 2\n") == "mine.toml:3: unknown key 'max_worker'. Did you mean 'max_workers'?"


def test_an_unknown_table_is_named_with_its_line():
    assert _refusal("max_workers = 2\n[limits]\nx = 1\n").startswith("mine.toml:2: unknown key 'limits'. Known are: max_workers, ")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("max_workers = 0", "max_workers=0: use a whole number, 1 or more"),
        ("max_workers = true", "max_workers=True: use a whole number, 1 or more"),
        ('max_workers = "2"', "max_workers='2': use a whole number, 1 or more"),
        ('provider = "pbs"', "provider='pbs': use local"),
        ("worker_init = 3", "worker_init=3: use a text in quotes"),
        ("walltime = 48", "walltime=48: use a text in quotes"),
        ('walltime = "48h"', "walltime='48h': use HH:MM:SS or D-HH:MM:SS, for example 48:00:00"),
        ('walltime = "00:00:30"', "walltime='00:00:30': use one minute or more"),
        ("nodes_per_block = 2", "nodes_per_block=2: a local block has one node, this one"),
    ],
)
def test_an_impossible_value_is_named_with_its_line(line, reason):
    text = _refusal(f"\n{line}\n")
    assert text.startswith("mine.toml:2: ")
    assert reason in text


def test_a_file_that_is_not_toml_is_named_with_its_line():
    assert _refusal('walltime = "1:00:00"\nmax_workers 2\n').startswith("mine.toml:2: not TOML: ")
    assert _refusal('worker_init = """\nmodule load gdal\n').startswith("mine.toml:")


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b'worker_init = "caf\xe9"\n')
    with pytest.raises(BadSite, match=r"latin\.toml:1: the file is not UTF-8"):
        load_site(str(tmp_path / "latin.toml"))


def test_a_site_is_found_by_name_or_by_path(tmp_path):
    (tmp_path / "mine.toml").write_text("max_workers = 5\n")
    assert load_site(str(tmp_path / "mine.toml")).max_workers == 5
    assert load_site("mine", [tmp_path]).max_workers == 5


def test_a_name_that_no_site_has_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(NoSite, match=r"no site is called 'locl'\. Did you mean 'local'\?"):
        load_site("locl")
    with pytest.raises(NoSite, match=r"cannot read the site file .*: No such file"):
        load_site(str(tmp_path / "none.toml"))


def test_a_walltime_is_read_as_slurm_reads_it():
    assert parse_walltime("48:00:00") == 172_800
    assert parse_walltime("2-00:00:30") == 172_830
