"""Site files: what they may say, and how a mistake in one is named."""

import os
from pathlib import Path

import pytest

from launcher.errors import BadSite, NoSite
from launcher.site import NOT_IN_FILES, Site
from launcher.site_checks import CHECKS
from launcher.site_file import load_site
from launcher.site_toml import parse_toml
from launcher.walltime import parse_walltime, walltime_text

EVERY_KEY = """\
provider = "slurm"
max_workers = 3
partition = "p"
account = "a"
qos = "q"
constraint = "c"
scheduler_options = "#SBATCH --mail-type=FAIL"
worker_init = "w"
node_init = "n"
walltime = "1-00:00:00"
nodes_per_block = 4
cores_per_node = 48
max_running = 1
max_submitted = 2
min_nodes = 3
max_nodes = 5
max_walltime = "48:00:00"
submissions_per_hour = 6
poll_every_s = 7.5
least_charged_min = 15
su_per_node_hour = 1.5
banned_options = ["--mem"]
warn_s = 60
cmd_timeout_s = 90
block_template = "block_local.sh"
node_template = "node.sh"
idle_s = 10
init_blocks = 1
min_blocks = 2
max_blocks = 3
"""


def _site(text: str) -> Site:
    return parse_toml(Path("mine.toml"), text).to_site()


def _refusal(text: str) -> str:
    with pytest.raises(BadSite) as caught:
        _site(text)
    return str(caught.value)


def test_a_site_takes_every_key(tmp_path):
    (tmp_path / "mine.toml").write_text(EVERY_KEY)
    site = load_site(str(tmp_path / "mine.toml"))
    assert {key for key in CHECKS if getattr(site, key) == getattr(Site(name="other"), key)} == {"parsl_config"}
    assert (site.name, site.source, site.notes) == ("mine", str(tmp_path / "mine.toml"), ())
    assert set(CHECKS) == set(Site.__dataclass_fields__) - set(NOT_IN_FILES)


def test_the_most_that_a_block_can_cost_is_its_node_hours_and_never_less_than_the_least_charge():
    site = _site(EVERY_KEY)
    assert (site.walltime_s, site.least_charged_s, site.block_su_max) == (86_400, 900, 4 * 24 * 1.5)
    assert Site(name="a", provider="slurm", walltime="00:05:00", least_charged_min=15, nodes_per_block=2).block_su_max == 0.5
    assert Site(name="a", provider="slurm").block_su_max is None
    assert Site(name="a", provider="slurm", su_per_node_hour=0).block_su_max == 0


def test_a_template_of_the_users_own_lies_beside_the_site_file(tmp_path):
    (tmp_path / "block_local.sh").touch()
    text = 'block_template = "block_local.sh"\nnode_template = "node.sh"\n'
    site = parse_toml(tmp_path / "mine.toml", text).to_site()
    assert (site.block_template, site.node_template) == (str(tmp_path / "block_local.sh"), "node.sh")
    assert _refusal('\nnode_template = "none.sh"\n').startswith("mine.toml:2: node_template='none.sh': there is no file ")
    assert "or one of ours: block_local.sh, " in _refusal('node_template = "none.sh"\n')


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_known_one():
    assert _refusal("# hm\n\nmax_worker = 2\n") == "mine.toml:3: unknown key 'max_worker'. Did you mean 'max_workers'?"


def test_an_unknown_table_is_named_with_its_line():
    assert _refusal("max_workers = 2\n[limits]\nx = 1\n").startswith("mine.toml:2: unknown key 'limits'. Known are: account, ")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("max_workers = 0", "max_workers=0: use a whole number, 1 or more"),
        ("max_workers = true", "max_workers=True: use a whole number, 1 or more"),
        ('max_workers = "2"', "max_workers='2': use a whole number, 1 or more"),
        ('provider = "pbs"', "provider='pbs': use local or slurm or parsl"),
        ("worker_init = 3", "worker_init=3: use a text in quotes"),
        ("walltime = 48", "walltime=48: use a text in quotes"),
        ('walltime = "48h"', "walltime='48h': use HH:MM:SS or D-HH:MM:SS, for example 48:00:00"),
        ('walltime = "00:00:30"', "walltime='00:00:30': use one minute or more"),
        ("nodes_per_block = 2", "nodes_per_block=2: a local block has one node, this one"),
        ('partition = "p"', "partition='p': a local block waits in no queue. Remove the line, or use provider = \"slurm\""),
        ('partition = "a b"', "partition='a b': use one word, without blanks"),
        ('provider = "parsl"', "provider='parsl': which provider that is stands in a Parsl config"),
        ("poll_every_s = 0", "poll_every_s=0: use a number, more than 0"),
        ("su_per_node_hour = -1", "su_per_node_hour=-1: use a number, 0 or more"),
        ("su_per_node_hour = nan", "su_per_node_hour=nan: use a number, 0 or more"),
        ('banned_options = ["-w"]', "use a list of options"),
        ("min_blocks = -1", "min_blocks=-1: use a whole number, 0 or more"),
    ],
)
def test_an_impossible_value_is_named_with_its_line(line, reason):
    text = _refusal(f"\n{line}\n")
    assert text.startswith("mine.toml:2: ")
    assert reason in text


SHORT = "if the site's limit has changed, correct that line"
QUOTES = 3 * "'"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'max_walltime = "48:00:00"\nwalltime = "2-00:00:01"',
            f"3: walltime='2-00:00:01': the limit of this site is max_walltime='48:00:00'. Use 48:00:00 or less; {SHORT}",
        ),
        ("nodes_per_block = 513\nmax_nodes = 512", "2: nodes_per_block=513: the limit of this site is max_nodes=512. Use 512 or less"),
        ("min_nodes = 3", "2: nodes_per_block=1: the least that this site allows is min_nodes=3. Use 3 or more"),
        ("min_nodes = 3\nnodes_per_block = 2", "3: nodes_per_block=2: the least that this site allows is min_nodes=3"),
        ("min_blocks = 3\nmax_blocks = 2", "2: min_blocks=3: more than max_blocks=2. Use 2 or less"),
        (
            'worker_init = """\nmodule load a\n#SBATCH -N 2\n"""',
            "4: worker_init has the line '#SBATCH -N 2': Slurm would not read it there",
        ),
        ('worker_init = """module load a\n#SBATCH -N 2\n"""', "3: worker_init has the line '#SBATCH -N 2'"),
        ('scheduler_options = """\n\n#SBATCH --requeue\n"""', "4: scheduler_options has '--requeue': Slurm would start a block twice"),
        (f"scheduler_options = {QUOTES}\n#SBATCH --requeue{QUOTES}", "3: scheduler_options has '--requeue'"),
        ('scheduler_options = "#SBATCH --requeue"', "2: scheduler_options has '--requeue'"),
    ],
)
def test_keys_that_contradict_each_other_are_named_with_the_line_and_the_limit(text, said):
    assert _refusal(f'provider = "slurm"\n{text}\n').startswith(f"mine.toml:{said}")


def test_a_limit_counts_also_for_a_site_that_no_file_gave():
    with pytest.raises(ValueError, match=r"site 'mine': nodes_per_block=3: the limit of this site is max_nodes=2\. Use 2 or less"):
        Site(name="mine", provider="slurm", nodes_per_block=3, max_nodes=2)
    with pytest.raises(ValueError, match=r"site 'a b': use letters"):
        Site(name="a b")


def test_a_file_that_is_not_toml_is_named_with_its_line():
    assert _refusal('walltime = "1:00:00"\nmax_workers 2\n').startswith("mine.toml:2: not TOML: ")
    assert _refusal('worker_init = """\nmodule load gdal\n').startswith("mine.toml:")


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b'worker_init = "caf\xe9"\n')
    with pytest.raises(BadSite, match=r"latin\.toml:1: the file is not UTF-8"):
        load_site(str(tmp_path / "latin.toml"))


def test_a_file_whose_name_is_no_sites_name_is_refused(tmp_path):
    for name in ("two words", os.fsdecode(b"caf\xe9")):
        (tmp_path / f"{name}.toml").touch()
        with pytest.raises(BadSite, match=r"is no site's name\. Name the file with letters, digits"):
            load_site(str(tmp_path / f"{name}.toml"))


def test_a_file_that_cannot_be_read_is_no_site(tmp_path, monkeypatch):
    file = tmp_path / "mine.toml"
    file.touch()

    def refuse(*_args: object, **_kwargs: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(NoSite, match=r"cannot read the site file .*mine\.toml: Permission denied"):
        load_site(str(file))


def test_a_walltime_is_read_as_slurm_reads_it():
    assert parse_walltime("48:00:00") == 172_800
    assert parse_walltime("2-00:00:30") == 172_830
    assert walltime_text(172_830) == "48:00:30"
