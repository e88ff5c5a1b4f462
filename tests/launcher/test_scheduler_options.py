"""Lines of `#SBATCH`: which are taken, and which are refused before anything is submitted."""

import pytest

from launcher.scheduler_options import Option, read_options
from launcher.site import Site

TACC = ("--nodelist", "--exclude", "--mem", "--gres", "--export")


def _refusal(options: str, **keys: object) -> str:
    with pytest.raises(ValueError, match="scheduler_options has ") as caught:
        Site(**{"name": "s", "provider": "slurm", "scheduler_options": options, **keys})
    return str(caught.value).removeprefix("site 's': scheduler_options has ")


def _accept(options: str, **keys: object) -> None:
    Site(**{"name": "s", "provider": "slurm", "scheduler_options": options, **keys})


def test_options_are_read_as_sbatch_reads_them():
    text = '#SBATCH -Aacct --mail-user me@here --comment="two words" -H  # a remark\n\n# a comment\n#SBATCH\t-w=c1\n'
    assert list(read_options(text)) == [
        Option(name="--account", value="acct", text="-Aacct", line=0),
        Option(name="--mail-user", value="me@here", text="--mail-user me@here", line=0),
        Option(name="--comment", value="two words", text="--comment=two words", line=0),
        Option(name="--hold", value="", text="-H", line=0),
        Option(name="--nodelist", value="=c1", text="-w=c1", line=3),
    ]


@pytest.mark.parametrize(
    "options",
    [
        "",
        "# nothing\n\n",
        "#SBATCH --mail-type=END --mail-user=me@here",
        "#SBATCH -A MY-ALLOCATION",
        "#SBATCH --no-kill --no-requeue --exclusive",
        "#SBATCH --reservation=days\n#SBATCH --ntasks-per-node 1",
    ],
)
def test_harmless_lines_are_taken(options):
    _accept(options, banned_options=TACC)


def test_a_line_may_repeat_what_a_key_says():
    options = "#SBATCH -p skx -N 4 -t 1-00:00:00\n#SBATCH --account=a -q high -C ice"
    _accept(options, partition="skx", nodes_per_block=4, walltime="24:00:00", account="a", qos="high", constraint="ice")


@pytest.mark.parametrize(
    ("options", "keys", "said"),
    [
        ("#SBATCH -p icx", {"partition": "skx"}, "'-p icx': the site says partition='skx'. Remove one of the two"),
        ("#SBATCH --nodes=8", {"nodes_per_block": 4}, "'--nodes=8': the site says nodes_per_block=4. Remove one of the two"),
        ("#SBATCH -t 1:00:00", {"walltime": "02:00:00"}, "'-t 1:00:00': the site says walltime='02:00:00'"),
        ("#SBATCH -t 60", {"walltime": "01:00:00"}, "'-t 60': the site says walltime='01:00:00'"),
        ("#SBATCH --account b", {"account": "a"}, "'--account b': the site says account='a'"),
        ("#SBATCH -q low", {"qos": "high"}, "'-q low': the site says qos='high'"),
        ("#SBATCH --constraint=a&b", {"constraint": "a"}, "'--constraint=a&b': the site says constraint='a'"),
    ],
)
def test_a_line_that_contradicts_a_key_is_refused(options, keys, said):
    assert _refusal(options, **keys).startswith(said)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ("#SBATCH -p skx", 'Write partition = "skx" instead'),
        ("#SBATCH --time=24:00:00", 'Write walltime = "24:00:00" instead'),
        ("#SBATCH -N4", "Write nodes_per_block = 4 instead"),
    ],
)
def test_what_limits_and_costs_are_computed_from_must_stand_in_its_key(options, remedy):
    assert remedy in _refusal(options)


@pytest.mark.parametrize("option", ["-w c1", "-wc1", "--nodelist=c1", "--nodelist c1", "-x c1", "--exclude=c[1-3]"])
def test_nodes_are_not_named_unless_the_site_allows_it(option):
    assert _refusal(f"#SBATCH {option}") == f"{option!r}: this site bans it (banned_options). Remove it"
    _accept(f"#SBATCH {option}", banned_options=())


@pytest.mark.parametrize("option", ["--mem=4G", "--gres=gpu:1", "--export=ALL", "--export NONE"])
def test_what_a_site_bans_is_refused_there_only(option):
    assert "this site bans it" in _refusal(f"#SBATCH {option}", banned_options=TACC)
    _accept(f"#SBATCH {option}")


@pytest.mark.parametrize(
    "option",
    ["--requeue", "--signal=TERM@60", "--array=1-9", "-a 1-9", "-J mine", "-o out", "--wrap=true", "--wait", "-W", "--kill-on-bad-exit=1",
     "--no-kill=off", "--exclusive=user", "-s", "-H", "--begin=now+1hour", "-M other", "--time-min=1", "-F nodes.txt"],
)  # fmt: skip
def test_what_would_undo_our_own_options_is_refused_everywhere(option):
    said = _refusal(f"#SBATCH {option}", banned_options=())
    assert said.startswith(f"{option!r}: ")
    assert said.endswith(". Remove it")


@pytest.mark.parametrize("option", ["--nodel=c1", "--excl c1", "--reque", "--part=skx", "--sig=TERM@60", "--exp=ALL"])
def test_the_beginning_of_such_an_option_is_refused_too(option):
    assert _refusal(f"#SBATCH {option}", banned_options=TACC).endswith("Spell the option in full")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            "module load gdal",
            "'module load gdal', which is not a line of #SBATCH. Begin each line with #SBATCH; commands belong to worker_init",
        ),
        ("-A x", "'-A x', which is not a line of #SBATCH"),
        (" #SBATCH -A x", "' #SBATCH -A x', which is not a line of #SBATCH"),
        ("#sbatch -A x", "'#sbatch -A x', which is not a line of #SBATCH"),
        ("#PBS -q normal", "'#PBS -q normal', which is not a line of #SBATCH"),
        ("#SBATCH -A x\n#SBATCH A x", "'#SBATCH A x', where no option follows. Write it as #SBATCH --option=value"),
        ('#SBATCH --comment="a', "'#SBATCH --comment=\"a': No closing quotation. Close the quotes"),
    ],
)
def test_what_is_no_line_of_options_is_refused(options, said):
    assert _refusal(options).startswith(said)
