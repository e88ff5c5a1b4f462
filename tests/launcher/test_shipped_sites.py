"""The site files that we ship: complete, true to what was published, and good to be edited."""

import re
import tomllib

import pytest

from launcher.shipped import SITES_DIR
from launcher.site_checks import CHECKS
from launcher.site_file import load_site, site_files
from launcher.site_toml import parse_toml

KNOBS = ("max_workers", "partition", "scheduler_options", "worker_init", "walltime")
#: partition, min and max nodes, running and submitted jobs, SU, cores: as published by TACC in 2026.
TACC = {
    "stampede2": ("skx-normal", 1, 128, 20, 20, 1.0, 48),
    "stampede3-skx": ("skx", 1, 256, 40, 60, 1.0, 48),
    "stampede3-icx": ("icx", 1, 32, 12, 20, 1.5, 80),
    "stampede3-spr": ("spr", 1, 32, 24, 36, 2.0, 112),
    "frontera-normal": ("normal", 3, 512, 75, 200, 1.0, 56),
    "frontera-small": ("small", 1, 2, 15, 80, 1.0, 56),
    "frontera-flex": ("flex", 1, 128, 15, 60, 0.8, 56),
    "lonestar6": ("normal", 1, 64, 20, 100, 1.0, 128),
    "vista": ("gg", 1, 32, 20, 40, 0.33, 144),
}
FILES = site_files()


def test_the_sites_are_those_that_are_promised():
    assert set(FILES) == {"local", "slurm", *TACC}


@pytest.mark.parametrize("name", FILES)
def test_a_shipped_site_can_be_read_and_has_the_five_knobs(name):
    assert load_site(name).name == name
    text = FILES[name].read_text()
    assert [knob for knob in KNOBS if not re.search(rf"^(# )?{knob} = ", text, re.MULTILINE)] == []


@pytest.mark.parametrize("name", TACC)
def test_a_site_of_tacc_has_the_published_figures(name):
    site = load_site(name)
    published = (site.partition, site.min_nodes, site.max_nodes, site.max_running, site.max_submitted, site.su_per_node_hour)
    assert (*published, site.cores_per_node) == TACC[name]
    assert (site.max_walltime, site.least_charged_min, site.poll_every_s) == ("48:00:00", 15, 180)
    assert {"--nodelist", "--exclude", "--mem", "--gres", "--export"} <= set(site.banned_options)
    said = FILES[name].read_text()
    assert "as published by TACC in 2026. Limits change" in said
    assert f"nunatak sites copy {name}`" in said


@pytest.mark.parametrize("name", FILES)
def test_a_commented_line_works_when_it_is_uncommented(name):
    """All that name no file of the user's, each alone."""
    text = FILES[name].read_text()
    lines = [line for line in text.splitlines() if re.match(r"# \w+ = ", line) and "parsl_config" not in line and '"""' not in line]
    assert lines
    for line in lines:
        key = line.split()[1]
        site = parse_toml(FILES[name], text.replace(line, line.removeprefix("# "))).to_site()
        assert getattr(site, key) == tomllib.loads(line.removeprefix("# "))[key]


def test_the_pattern_for_any_cluster_shows_every_key():
    text = FILES["slurm"].read_text()
    assert [key for key in CHECKS if not re.search(rf"^(# )?{key} = ", text, re.MULTILINE)] == []


def test_the_local_site_is_this_machine():
    site = load_site("local")
    assert (site.provider, site.nodes_per_block, site.max_workers, site.walltime_s, site.block_su_max) == ("local", 1, None, None, 0)


def test_every_site_file_is_a_file_of_text_that_fits_a_terminal():
    for file in SITES_DIR.glob("*.toml"):
        assert file.read_text().isascii(), file
        assert max(map(len, file.read_text().splitlines())) <= 140, file


def test_the_docs_name_every_key():
    page = (SITES_DIR.parents[1] / "docs" / "sites.md").read_text()
    table = page.partition("## The keys of a site file")[2].partition("\n## ")[0]
    keys = {key for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)}
    assert keys == set(CHECKS)
