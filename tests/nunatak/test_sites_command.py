"""`nunatak sites`: what is listed and shown, a copy to be edited, and a check of a file."""

import json
import stat
from pathlib import Path

import pytest
from filled_queue import call

from launcher.shipped import SITES_DIR

KNOBS = ("max_workers", "partition", "scheduler_options", "worker_init", "walltime")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and an empty working directory beside it."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


def _own(home: Path, name: str, text: str) -> Path:
    (home / "sites").mkdir(parents=True, exist_ok=True)
    (home / "sites" / name).write_text(text)
    return home / "sites" / name


def test_every_site_is_listed_with_what_a_block_is_and_costs(home):
    said = call(home, "sites", "list")
    rows = {line.split()[0]: line.split() for line in said.out.splitlines()}
    assert rows["SITE"] == ["SITE", "PROVIDER", "PARTITION", "NODES", "SLOTS", "WALLTIME", "SU", "FROM"]
    assert rows["frontera-small"] == ["frontera-small", "slurm", "small", "2", "2", "48:00:00", "96", f"{SITES_DIR}/frontera-small.toml"]
    assert rows["local"] == ["local", "local", "-", "1", "all", "-", "0", f"{SITES_DIR}/local.toml"]
    assert (said.code, said.err) == (0, "")
    assert not home.exists()


def test_a_users_own_site_takes_the_place_of_the_shipped_one(home):
    file = _own(home, "vista.toml", 'provider = "slurm"\n')
    listed = {line["name"]: line for line in map(json.loads, call(home, "sites", "list", "--json").out.splitlines())}
    assert listed["vista"]["source"] == str(file)
    assert listed["vista"]["block_su_max"] is None
    assert listed["stampede3-icx"]["block_su_max"] == 288


def test_a_site_that_is_wrong_does_not_hide_the_others(home):
    file = _own(home, "bad.toml", "walltime = 3\n")
    said = call(home, "sites", "list")
    assert said.code == 2
    assert "frontera-flex" in said.out
    assert f"{file}:1: walltime=3: use a text in quotes" in said.err


def test_a_site_is_shown_with_every_key(home):
    said = call(home, "sites", "show", "stampede3-spr", "--json").json
    assert (said["max_nodes"], said["banned_options"][0], said["account"], said["idle_s"]) == (32, "--nodelist", "", None)
    lines = [line.split() for line in call(home, "sites", "show", "stampede3-spr").out.splitlines()]
    assert ["partition", "spr"] in lines
    assert ["account", "-"] in lines


def test_a_copy_is_the_users_own_and_the_lines_to_edit_are_shown(home):
    said = call(home, "sites", "copy", "stampede3-skx", "mine")
    file = home / "sites" / "mine.toml"
    assert (said.code, said.out) == (0, f"{file}\n")
    assert file.read_bytes() == (SITES_DIR / "stampede3-skx.toml").read_bytes()
    lines = file.read_text().splitlines()
    shown = [line.split(": ", 1) for line in said.err.splitlines() if line.startswith("  line ")]
    assert [text.split(" = ")[0] for _, text in shown] == list(KNOBS)
    assert all(lines[int(place.removeprefix("  line ")) - 1] == text for place, text in shown)
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (home, home / "sites")] == [0o700, 0o700]


def test_a_copy_is_edited_and_used_by_its_name(home):
    call(home, "sites", "copy", "stampede3-skx")
    file = home / "sites" / "stampede3-skx.toml"
    file.write_text(file.read_text().replace('walltime = "48:00:00"', 'walltime = "02:00:00"', 1))
    assert call(home, "sites", "show", "stampede3-skx", "--json").json["walltime"] == "02:00:00"


def test_a_copy_overwrites_nothing(home):
    for name in ("mine.toml", "mine.py"):
        file = _own(home, name, "# mine\n")
        said = call(home, "sites", "copy", "slurm", "mine")
        assert (said.code, said.err) == (2, f"{file} exists: give another name, nunatak sites copy SITE NEW, or remove it first")
        assert file.read_text() == "# mine\n"
        file.unlink()


def test_a_copy_has_a_name_that_a_site_can_have(home):
    said = call(home, "sites", "copy", "slurm", "../mine")
    assert said.code == 2
    assert "'../mine' is no site's name" in said.err
    assert not home.exists()


def test_a_parsl_config_is_copied_as_what_it_is(home):
    config = Path("old.py")
    config.write_text(
        "from parsl import Config, HighThroughputExecutor\nfrom parsl.providers import SlurmProvider\n"
        "config = Config(executors=[HighThroughputExecutor(max_workers=2, provider=SlurmProvider('p', nodes_per_block=3))])\n"
    )
    said = call(home, "sites", "copy", "old", "new")
    assert (said.code, said.out) == (0, f"{home}/sites/new.py\n")
    shown = call(home, "sites", "show", "new", "--json")
    assert (shown.json["max_workers"], shown.json["nodes_per_block"], shown.json["partition"]) == (2, 3, "p")
    assert "max_workers= of HighThroughputExecutor is obsolete" in shown.err


def test_a_good_file_is_called_well_with_what_a_block_costs(home):
    said = call(home, "sites", "check", "stampede3-icx")
    assert said.out == f"{SITES_DIR}/stampede3-icx.toml is well: a block has 4 nodes, max_workers = 2, for 48:00:00; 288 SU at most\n"
    assert "1 node, one slot per processor, for any time; 0 SU at most" in call(home, "sites", "check", "local").out
    _own(home, "open.toml", 'provider = "slurm"\n')
    assert "for any time; nobody can say what it costs" in call(home, "sites", "check", "open").out


def test_a_mistake_is_named_with_file_line_limit_and_remedy(home):
    Path("mine.toml").write_text('provider = "slurm"\nmax_nodes = 32\nnodes_per_block = 40\n')
    said = call(home, "sites", "check", "mine.toml")
    assert said.code == 2
    assert said.err.startswith("mine.toml:3: nodes_per_block=40: the limit of this site is max_nodes=32. Use 32 or less")


def test_a_name_that_no_site_has_is_answered_with_the_nearest(home):
    said = call(home, "sites", "show", "stampede3-sxk")
    assert said.code == 2
    assert "Did you mean 'stampede3-skx'?" in said.err
