"""Parsl configs as sites: what is taken from them, what is said of what is not, and that running one leaves no trace."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.errors import BadSite, NoSite
from launcher.parsl_config import load_provider
from launcher.site import Site
from launcher.site_file import load_site, read_site

CONFIGS = Path(__file__).parent / "configs"
HEAD = """\
from parsl.config import Config
from parsl.executors import HighThroughputExecutor, ThreadPoolExecutor
from parsl.providers import LocalProvider, SlurmProvider
"""


def _config(tmp_path: Path, text: str, name: str = "mine") -> Path:
    file = tmp_path / f"{name}.py"
    file.write_text(HEAD + text)
    return file


def _slurm(tmp_path: Path, arguments: str, executor: str = "max_workers_per_node=2") -> Path:
    """A config with these arguments of the provider (on its line 4) and of the executor (on line 5)."""
    text = f"slurm = SlurmProvider({arguments})\nconfig = Config(executors=[HighThroughputExecutor(provider=slurm, {executor})])\n"
    return _config(tmp_path, text)


def _refusal(file: Path) -> str:
    with pytest.raises(BadSite) as caught:
        read_site(file)
    return str(caught.value).removeprefix(f"{file.parent}/")


def test_the_predecessors_config_is_a_site():
    site = load_site(str(CONFIGS / "stampede2_htex"))
    assert site == Site(
        name="stampede2_htex",
        provider="slurm",
        max_workers=2,
        partition="skx-normal",
        scheduler_options="#SBATCH -A MY-ALLOCATION",
        worker_init="true",
        walltime="24:00:00",
        nodes_per_block=4,
        init_blocks=1,
        min_blocks=1,
        max_blocks=8,
        cmd_timeout_s=60,
        parsl_config=str(CONFIGS / "stampede2_htex.py"),
    )
    assert site.source == site.parsl_config


def test_each_obsolete_argument_is_named_with_what_replaces_it():
    notes = "\n".join(load_site(str(CONFIGS / "stampede2_htex.py")).notes)
    assert "channel= of SlurmProvider is obsolete and passed over: scheduler commands run on this host" in notes
    assert "suppress_failure= of HighThroughputExecutor is obsolete and passed over: a lost node's jobfiles wait again" in notes
    assert "max_workers= of HighThroughputExecutor is obsolete: Parsl calls it max_workers_per_node now" in notes
    assert "launcher=SrunLauncher(overrides='--no-kill ') is passed over" in notes
    assert "not used here: address=, heartbeat_period=, retries=" in notes


def test_a_config_may_have_another_name_and_be_loaded_by_the_file_itself():
    site = load_site(str(CONFIGS / "stampede2_htex_50cm.py"))
    assert (site.partition, site.account, site.nodes_per_block, site.max_workers) == ("skx-normal", "MY-ALLOCATION", 100, 1)
    assert (site.walltime, site.cmd_timeout_s) == ("48:00:00", Site(name="default").cmd_timeout_s)
    import parsl

    with pytest.raises(parsl.errors.NoDataFlowKernelError):
        parsl.dfk()


def test_a_config_of_the_working_directory_is_found_by_its_name_with_and_without_py(monkeypatch):
    monkeypatch.chdir(CONFIGS)
    assert load_site("stampede2_htex") == load_site("stampede2_htex.py")
    assert load_site("stampede2_htex").name == "stampede2_htex"


def test_another_provider_stays_an_object_that_blocks_go_through():
    site = read_site(CONFIGS / "own_provider.py")
    assert site == Site(
        name="own_provider",
        provider="parsl",
        max_workers=4,
        partition="evening",
        walltime="02:00:00",
        nodes_per_block=3,
        cores_per_node=16,
        init_blocks=1,
        max_blocks=5,
        parsl_config=str(CONFIGS / "own_provider.py"),
    )
    provider = load_provider(Path(site.parsl_config))
    assert (provider.submit("true", 1, "b1"), provider.asked) == ("job-1", ("true", 1, "b1"))
    assert "nodes_per_block=3" in repr(provider)


def test_the_users_own_kind_of_slurm_provider_is_used_and_not_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    file = _config(
        tmp_path,
        "class Mine(SlurmProvider):\n    def submit(self, command, tasks_per_node, job_name=''):\n        return job_name\n"
        "config = Config(executors=[HighThroughputExecutor(provider=Mine(partition='p', channel=1))])\n",
    )
    assert (read_site(file).provider, read_site(file).partition) == ("parsl", "p")
    assert load_provider(file).submit("true", 1, "b1") == "b1"


def test_parsls_own_slurm_provider_is_no_object_to_submit_with():
    with pytest.raises(BadSite, match='Use provider = "slurm"'):
        load_provider(CONFIGS / "stampede2_htex.py")


def test_reading_a_config_does_not_ask_the_scheduler(tmp_path, monkeypatch):
    for name in ("sacct", "squeue", "sbatch"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    read_site(CONFIGS / "stampede2_htex.py")
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize(
    ("provider", "executor", "workers"),
    [
        ("", "max_workers_per_node=3", 3),
        ("", "max_workers=3", 3),
        ("", "max_workers_per_node=3, max_workers=5", 3),
        ("cores_per_node=48", "cores_per_worker=24", 2),
        ("cores_per_node=8", "cores_per_worker=24", 1),
        ("", "label='x'", None),
        ("", "max_workers=float('inf')", None),
    ],
)
def test_the_workers_per_node_are_those_that_parsl_would_start(tmp_path, provider, executor, workers):
    assert read_site(_slurm(tmp_path, provider, executor)).max_workers == workers


def test_processors_per_worker_of_an_unknown_node_are_refused(tmp_path):
    said = _refusal(_slurm(tmp_path, "", "cores_per_worker=24"))
    assert said == (
        "mine.py:5: cores_per_worker=24: how many fit on a node depends on its processors. Add max_workers_per_node= to the executor"
    )


def test_what_stands_beside_the_scheduler_options_becomes_one_of_them(tmp_path):
    site = read_site(_slurm(tmp_path, "gres='fast:1', gpus_per_node=2, overrides='#SBATCH -A x', exclusive=False, mem_per_node=9"))
    assert site.scheduler_options.splitlines() == ["#SBATCH -A x", "#SBATCH --gres=fast:1", "#SBATCH --gpus-per-node=2"]
    notes = "\n".join(site.notes)
    assert "overrides= of SlurmProvider is obsolete: Parsl calls it scheduler_options now" in notes
    assert "exclusive=False is passed over" in notes
    assert "mem_per_node=9 is passed over" in notes


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            "partitoin='x'",
            "mine.py:4: the Parsl config fails: TypeError: SlurmProvider has no argument partitoin=; did you mean partition=?",
        ),
        ("walltime='48h'", "mine.py:4: walltime='48h': use HH:MM:SS or D-HH:MM:SS"),
        ("\n\nnodes_per_block='4'", "mine.py:6: nodes_per_block='4': use a whole number"),
        ("min_blocks=3", "mine.py:4: min_blocks=3: more than max_blocks=1"),
        ("\nscheduler_options='#SBATCH -w c1'", "mine.py:5: scheduler_options has '-w c1': this site bans it"),
        ("\nscheduler_options='''\n#SBATCH -A x\n#SBATCH --requeue'''", "mine.py:7: scheduler_options has '--requeue': "),
        ("clusters='a,b'", "mine.py:4: scheduler_options has '--clusters=a,b': blocks are asked for on one cluster only"),
    ],
)
def test_what_is_wrong_in_a_provider_is_named_with_its_line(tmp_path, arguments, said):
    assert _refusal(_slurm(tmp_path, arguments)).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "x = 1\nconfig = 1 / 0\n",
            "mine.py:5: the Parsl config fails: ZeroDivisionError: division by zero. Correct it, or write a site file",
        ),
        ("import sys\nsys.exit('not here')\n", "mine.py:5: the Parsl config fails: SystemExit: not here"),
        ("config = Config(\n", "mine.py:4: not Python: '(' was never closed"),
        ("from parsl.providers import CobaltProvider\n", "mine.py:4: the Parsl config fails: ImportError: cannot import name"),
        ("", "mine.py:1: it makes no parsl.config.Config. Call the one to be used `config`"),
        ("a = Config()\nb = Config()\n", "mine.py:1: it makes 2 of parsl.config.Config"),
        ("config = {'sites': []}\n", "mine.py:4: config is a dict, as in Parsl before 0.6"),
        ("config = Config(executors=[ThreadPoolExecutor()])\n", "mine.py:4: no executor has a provider. Give one provider="),
        ("config = Config()\n", "mine.py:1: no executor has a provider"),
        (
            "config = Config(executors=[HighThroughputExecutor(provider='slurm')])\n",
            "mine.py:4: the provider is 'slurm', and none of Parsl's",
        ),
        (
            "\nconfig = Config(executors=[HighThroughputExecutor('a', LocalProvider()), HighThroughputExecutor('b', LocalProvider())])\n",
            "mine.py:5: 2 executors have a provider ('a', 'b'), and a site has one. Split them into one config file each",
        ),
    ],
)
def test_a_config_that_is_no_site_is_refused_with_its_line_and_a_remedy(tmp_path, text, said):
    assert _refusal(_config(tmp_path, text)).startswith(said)


def test_an_error_beside_the_config_is_named_with_the_configs_line(tmp_path):
    (tmp_path / "beside.py").write_text("raise ValueError('here')\n")
    assert _refusal(_config(tmp_path, "import beside\n")).startswith("mine.py:4: the Parsl config fails: ValueError: here")


def test_a_config_that_cannot_be_read_is_no_site(tmp_path):
    with pytest.raises(NoSite, match=r"cannot read the Parsl config .*none\.py: No such file"):
        read_site(tmp_path / "none.py")


def _state() -> list[object]:
    """What a config could change of this process."""
    names = {name: dict(vars(module)) for name, module in sys.modules.items() if name.startswith("parsl")}
    return [Path.cwd(), list(sys.path), dict(os.environ), set(sys.modules), names]


def test_running_a_config_leaves_no_trace(tmp_path, monkeypatch, capsys):
    read_site(CONFIGS / "stampede2_htex.py")  # Parsl itself stays imported.
    (tmp_path / "beside.py").write_text("VALUE = 2\n")
    _config(
        tmp_path,
        "import os, sys, beside\nfrom parsl.channels import SSHChannel\nfrom dataclasses import dataclass\n"
        "os.chdir('/')\nos.environ['LEFT'] = '1'\nsys.path.append('/left')\nprint('hello', __name__)\n"
        "@dataclass\nclass Own:\n    x: 'int'\n"
        "if __name__ == '__main__':\n    raise SystemExit\n"
        "config = Config(executors=[HighThroughputExecutor(provider=SlurmProvider('p'), max_workers_per_node=beside.VALUE)])\n",
    )
    monkeypatch.chdir(tmp_path)
    before = _state()
    assert load_site("mine").max_workers == 2
    assert _state() == before
    assert "parsl.channels" not in sys.modules
    assert capsys.readouterr().out == ""


def test_a_config_that_fails_leaves_no_trace_either(tmp_path):
    read_site(CONFIGS / "stampede2_htex.py")
    before = _state()
    _refusal(_config(tmp_path, "import parsl.channels\nimport sys\nsys.path.clear()\n1 / 0\n"))
    assert _state() == before


def test_modules_of_parsls_that_only_a_config_imports_keep_no_stand_in(tmp_path):
    file = _config(tmp_path, "from parsl.configs.frontera import config\n")
    assert (read_site(file).nodes_per_block, read_site(file).max_workers) == (2, 1)
    import parsl
    import parsl.configs.frontera

    assert parsl.configs.frontera.SlurmProvider is parsl.providers.SlurmProvider
    assert parsl.providers.SlurmProvider.__module__ == "parsl.providers.slurm.slurm"


def test_two_configs_may_have_different_modules_of_one_name_beside_them(tmp_path):
    for folder, nodes in (("a", 2), ("b", 3)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "beside.py").write_text(f"NODES = {nodes}\n")
        file = _slurm(tmp_path / folder, "nodes_per_block=NODES")
        file.write_text(f"from beside import NODES\n{file.read_text()}")
    assert [read_site(tmp_path / folder / "mine.py").nodes_per_block for folder in "ab"] == [2, 3]


def test_a_site_file_may_name_a_parsl_config_and_say_more(tmp_path):
    _slurm(tmp_path, "partition='p', walltime='30:00:00', nodes_per_block=4")
    file = tmp_path / "limited.toml"
    file.write_text('parsl_config = "mine.py"\nmax_nodes = 8\nnodes_per_block = 2\n')
    site = read_site(file)
    assert (site.name, site.provider, site.partition, site.nodes_per_block, site.max_nodes) == ("limited", "slurm", "p", 2, 8)
    assert site.parsl_config == str(tmp_path / "mine.py")
    file.write_text('parsl_config = "mine.py"\nmax_nodes = 3\nmax_walltime = "24:00:00"\n')
    assert _refusal(file).startswith("mine.py:4: nodes_per_block=4: the limit of this site is max_nodes=3")
    file.write_text('\nprovider = "parsl"\nparsl_config = "mine.py"\n')
    assert _refusal(file).startswith("limited.toml:2: provider='parsl': the provider in ")


def test_finding_and_reading_site_files_does_not_import_parsl():
    code = "import sys; from launcher.site_file import load_site; load_site('stampede3-skx'); sys.exit('parsl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=CONFIGS.parents[2], check=False).returncode == 0
