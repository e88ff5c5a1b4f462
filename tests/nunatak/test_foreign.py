"""Other people's packages of our names, before ours on the path."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nunatak.foreign import OURS, Found, complaint, locate, refuse_foreign

ROOT = Path(__file__).parent.parent.parent


def _start(before: Path, environ: dict[str, str] | None = None, flags: tuple[str, ...] = ("-I",)) -> subprocess.CompletedProcess[str]:
    """Run the check as our programs do, in a new Python that looks into `before` first."""
    code = (
        f"import sys; sys.path.insert(0, {str(before)!r}) if sys.flags.isolated else None\n"
        "from nunatak.foreign import ForeignPackage, refuse_foreign\n"
        "try:\n    refuse_foreign()\nexcept ForeignPackage as refusal:\n    print(refusal)\n    sys.exit(2)\n"
        "print(sorted({'broker', 'tasks', 'launcher'} & set(sys.modules)))"
    )
    command = [sys.executable, *flags, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=environ, cwd=before, check=False, timeout=60)


def _install(site: Path, name: str, distribution: str = "") -> Path:
    """A package as pip leaves it in a site directory."""
    (site / name).mkdir(parents=True)
    (site / name / "__init__.py").write_text("raise SystemExit('foreign code ran')\n")
    if distribution:
        info = site / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "top_level.txt").write_text(f"{name}\n")
        (info / "RECORD").write_text(f"{name}/__init__.py,,\n")
    return site / name


def test_ours_are_accepted_and_none_is_imported_to_find_out(tmp_path):
    ended = _start(tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "[]\n")
    refuse_foreign()


@pytest.mark.parametrize("name", OURS)
def test_a_package_of_our_name_installed_before_ours_is_refused_with_its_path_and_its_distribution(name, tmp_path):
    foreign = _install(tmp_path, name, f"some-{name}")
    ended = _start(tmp_path)
    assert ended.returncode == 2
    assert f"the package {name!r} at {foreign} is not nunatak's, which is at {ROOT / name}." in ended.stdout
    assert f"-m pip uninstall some-{name})" in ended.stdout


def test_a_module_of_our_name_is_refused_too(tmp_path):
    (tmp_path / "tasks.py").write_text("raise SystemExit('foreign code ran')\n")
    ended = _start(tmp_path)
    assert ended.returncode == 2
    assert f"at {tmp_path / 'tasks.py'} is not nunatak's" in ended.stdout
    assert "Move it away" in ended.stdout


def test_a_package_on_pythonpath_is_refused_with_the_remedy_for_that(tmp_path):
    _install(tmp_path, "broker")
    ended = _start(tmp_path, environ=os.environ | {"PYTHONPATH": str(tmp_path)}, flags=())
    assert ended.returncode == 2
    assert f"Take {tmp_path} out of PYTHONPATH" in ended.stdout


def test_pythonpath_and_the_working_directory_do_no_harm_to_an_isolated_start(tmp_path):
    _install(tmp_path / "user", "broker")
    user = tmp_path / "user"
    code = "from nunatak.foreign import refuse_foreign; refuse_foreign(); import broker; print(broker.__file__)"
    command, environ = [sys.executable, "-I", "-c", code], os.environ | {"PYTHONPATH": str(user)}
    ended = subprocess.run(command, capture_output=True, text=True, env=environ, cwd=user, check=True, timeout=60)
    assert ended.stdout == f"{ROOT / 'broker' / '__init__.py'}\n"


def test_a_missing_package_is_said_to_be_missing(tmp_path):
    text = complaint(Found(name="tasks", folder=None, expected=tmp_path / "tasks"), {})
    assert text == f"our package 'tasks' is missing from {tmp_path}: install nunatak again"


def test_ours_reached_through_a_symbolic_link_are_ours(tmp_path):
    (tmp_path / "link").symlink_to(ROOT)
    assert Found(name="broker", folder=tmp_path / "link" / "broker", expected=ROOT / "broker").is_ours
    assert locate("broker").is_ours
