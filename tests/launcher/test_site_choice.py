"""Which file `-f WORD` means."""

from pathlib import Path

import pytest

from launcher.errors import NoSite
from launcher.shipped import SITES_DIR
from launcher.site_file import find_site, load_site, site_files


def _own(folder: Path, name: str, max_workers: int) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"max_workers = {max_workers}\n")
    return folder / name


def test_a_name_is_looked_for_in_the_folders_in_order_and_then_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home, shipped = tmp_path / "home", tmp_path / "shipped"
    places = [(home, "a.toml"), (home, "a.py"), (shipped, "a.toml"), (tmp_path, "a.toml"), (tmp_path, "a.py")]
    for file in [_own(folder, name, 1) for folder, name in places]:
        assert find_site("a", (home, shipped)).absolute() == file
        file.unlink()
    with pytest.raises(NoSite):
        find_site("a", (home, shipped))


def test_which_of_two_files_was_taken_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _own(tmp_path, "stampede2.toml", 7)
    taken, said = f"site stampede2 is {SITES_DIR}/stampede2.toml", "to have stampede2.toml instead, give that path with -f"
    assert load_site("stampede2").notes == (f"{taken}; {said}",)
    assert load_site("stampede2.toml").max_workers == 7
    assert load_site("./stampede2").notes == ()
    assert load_site("local").notes == ()


def test_a_path_may_come_without_its_ending_and_begin_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    _own(tmp_path / "sub", "mine.toml", 5)
    for word in ("sub/mine", "sub/mine.toml", "./sub/mine", "~/sub/mine", f"{tmp_path}/sub/mine.toml"):
        assert load_site(word).max_workers == 5


@pytest.mark.parametrize("word", ["", ".", "..", "no such", "~"])
def test_a_word_that_is_no_name_is_no_site(word):
    with pytest.raises(NoSite, match="no site is called"):
        load_site(word)


def test_what_no_site_has_is_answered_with_what_to_do():
    with pytest.raises(NoSite, match=r"no site is called 'locl', and no file here\. Did you mean 'local'\?"):
        load_site("locl")
    with pytest.raises(NoSite, match=r"there is no site file sub/none \(sub/none\.toml or sub/none\.py\)\. Correct the path"):
        load_site("sub/none")
    with pytest.raises(NoSite, match=r"there is no site file none\.toml\. Correct the path"):
        load_site("none.toml")


def test_the_names_are_those_of_all_folders_and_the_first_folder_holds(tmp_path):
    mine = _own(tmp_path, "local.toml", 1)
    files = site_files((tmp_path, SITES_DIR))
    assert files["local"] == mine
    assert files["slurm"] == SITES_DIR / "slurm.toml"
    assert list(files) == sorted(files)
