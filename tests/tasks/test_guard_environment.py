"""What a jobfile finds in its environment: pure first, then in a real one."""

import os
import sys
from pathlib import Path

import pytest
from guard_node import GuardNode

from tasks.guard.environment import Place, block_environ, jobfile_environ, tmp_root
from tasks.guard.protocol import StartOrder
from tasks.guard.settings import BadSettings, GuardSettings

VENV = "/opt/nunatak/venv"
ORDER = StartOrder(
    token="t", id="1", attempt=3, argv=("/bin/bash", "x"), cwd="/d", stdout="o", stderr="e", environ={"NUNATAK_JOBFILE": "/d/x"}
)
PLACE = Place(slot=1, cpus=12, tmpdir="/tmp/x", guard="5:6")


def settings(**values: object) -> GuardSettings:
    return GuardSettings(**{"block": "b", "node": "n", "worker_argv": ("w",), "slots": 2, "log_file": "l", **values})  # type: ignore[arg-type]


def test_our_virtual_environment_is_taken_out_of_the_block_s() -> None:
    block = {
        "VIRTUAL_ENV": VENV,
        "VIRTUAL_ENV_PROMPT": "(x)",
        "PATH": f"{VENV}/bin:/usr/bin:/opt/nunatak/venvs/bin",
        "PYTHONHOME": VENV,
        "PYTHONPATH": f"{VENV}/lib:/users/u/lib",
        "HOME": "/users/u",
    }
    found = block_environ(block, settings(venv=VENV))
    assert found == {"PATH": "/usr/bin:/opt/nunatak/venvs/bin", "PYTHONPATH": "/users/u/lib", "HOME": "/users/u"}


def test_a_user_s_own_virtual_environment_stays() -> None:
    block = {"VIRTUAL_ENV": "/users/u/env", "PATH": "/users/u/env/bin:/usr/bin"}
    assert block_environ(block, settings(venv=VENV)) == block


def test_slurm_s_and_mpi_s_variables_go_but_the_job_id() -> None:
    block = {"SLURM_JOB_ID": "5", "SLURM_NTASKS": "1", "SLURMD_NODENAME": "n", "PMI_RANK": "0", "PMIX_RANK": "0", "SLURMY": "mine"}
    assert block_environ(block, settings()) == {"SLURM_JOB_ID": "5", "SLURMY": "mine"}
    assert block_environ(block, settings(keep_slurm_env=True)) == block


def test_our_own_variables_do_not_get_to_jobfiles() -> None:
    block = {"NUNATAK_HOME": "/h", "NUNATAK_TOKEN": "an outer one", "NUNATAK_ANY": "x", "PYTHONSAFEPATH": "1", "X": "1"}
    assert block_environ(block, settings(drop_env=("PYTHONSAFEPATH",))) == {"NUNATAK_HOME": "/h", "X": "1"}


def test_a_jobfile_is_told_what_and_where_it_is() -> None:
    found = jobfile_environ({"A": "1", "OLDPWD": "/x"}, settings(deadline_unix=1234.9), ORDER, PLACE)
    assert found == {
        "A": "1",
        "PWD": "/d",
        "TMPDIR": "/tmp/x",
        "NUNATAK_JOBFILE": "/d/x",
        "NUNATAK_ATTEMPT": "3",
        "NUNATAK_TOKEN": "t",
        "NUNATAK_DEADLINE": "1234",
        "NUNATAK_SLOT": "1",
        "NUNATAK_NODE": "n",
        "NUNATAK_BLOCK": "b",
        "NUNATAK_CPUS": "12",
        "NUNATAK_GUARD": "5:6",
    }


def test_threads_are_set_only_for_bound_jobfiles_and_never_over_the_user_s_number() -> None:
    assert "OMP_NUM_THREADS" not in jobfile_environ({}, settings(), ORDER, PLACE)
    assert jobfile_environ({}, settings(bind="slot"), ORDER, PLACE)["OMP_NUM_THREADS"] == "12"
    assert jobfile_environ({"OMP_NUM_THREADS": "3"}, settings(bind="slot"), ORDER, PLACE)["OMP_NUM_THREADS"] == "3"


def test_temporary_folders_are_made_where_the_site_or_else_the_block_says() -> None:
    assert tmp_root({"TMPDIR": "/local"}, settings(tmp_root="/nvme")) == "/nvme"
    assert tmp_root({"TMPDIR": "/local"}, settings()) == "/local"
    assert tmp_root({}, settings()) == "/tmp"


def test_a_real_jobfile_finds_the_block_s_environment_and_nothing_of_ours(tmp_path: Path) -> None:
    venv = str(Path(sys.executable).parent.parent)
    block = {
        "PATH": f"{venv}/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": venv,
        "SLURM_NTASKS": "1",
        "SLURM_JOB_ID": "5",
        "LANG": "C.UTF-8",
        "USERS": "own",
    }
    with GuardNode(tmp_path, environ=block, venv=venv) as node:
        order = node.order("env -0")
        node.greeted().client.start(order).wait(8)
        found = dict(line.split("=", 1) for line in node.output().split("\0") if line)
    ours = {name for name in found if name.startswith("NUNATAK_")}
    assert ours == {f"NUNATAK_{name}" for name in ["ATTEMPT", "BLOCK", "CPUS", "GUARD", "NODE", "SLOT", "TOKEN"]}
    assert found["NUNATAK_TOKEN"] == order.token
    assert {name: found[name] for name in found.keys() - ours - {"TMPDIR", "_", "SHLVL"}} == {
        "PATH": "/usr/bin:/bin",
        "SLURM_JOB_ID": "5",
        "LANG": "C.UTF-8",
        "USERS": "own",
        "PWD": str(node.jobs),
    }


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
def test_bound_jobfiles_get_processors_of_their_own(tmp_path: Path) -> None:
    with GuardNode(tmp_path, bind="slot", slots=2) as node:
        worker = node.greeted()
        text = "grep Cpus_allowed_list /proc/self/status; echo $OMP_NUM_THREADS $NUNATAK_SLOT; while [ ! -e go ]; do sleep 0.02; done"
        handles = [node.run(worker, text, name="a.sh"), node.run(worker, text, name="b.sh")]
        for handle in handles:
            handle.wait_started(8)
        (node.jobs / "go").touch()
        for handle in handles:
            handle.wait(8)
        assert node.output("a.sh").splitlines()[0] != node.output("b.sh").splitlines()[0]
        assert {node.output(n).split()[-1] for n in ("a.sh", "b.sh")} == {"0", "1"}


@pytest.mark.parametrize(
    ("values", "words"), [({"slots": 0}, "slots=0"), ({"bind": "cpu"}, "bind='cpu'"), ({"worker_argv": ()}, "worker_argv")]
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        settings(**values)


def test_settings_come_back_from_json_as_they_went() -> None:
    given = settings(deadline_unix=5.0, drop_env=("A",), min_cpus=4)
    assert GuardSettings.from_json(given.to_json()) == given
    with pytest.raises(BadSettings, match="not JSON"):
        GuardSettings.from_json("{")
    with pytest.raises(BadSettings, match="node"):
        GuardSettings.from_json('{"block": "b"}')
