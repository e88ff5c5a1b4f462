"""Settings: defaults, the file, the environment; what is wrong is said with its place and a remedy."""

from pathlib import Path

import pytest

from nunatak.errors import BadSettings
from nunatak.settings import Settings, home, load_settings


def load(folder: Path, text: str = "", **environ: str) -> Settings:
    if text:
        (folder / "config.toml").write_text(text)
    return load_settings({"NUNATAK_HOME": str(folder), **environ})


def complaint(folder: Path, text: str = "", **environ: str) -> str:
    with pytest.raises(BadSettings) as caught:
        load(folder, text, **environ)
    return str(caught.value)


def test_without_a_file_everything_is_its_default(tmp_path):
    settings = load(tmp_path)
    assert settings.lease.lease_s == 300
    assert settings.worker.idle_s == 300
    assert set(settings.origins) == {"home", *settings.values()}
    assert set(settings.origins.values()) == {"default", "$NUNATAK_HOME"}


def test_the_environment_is_above_the_file_and_the_origins_say_so(tmp_path):
    settings = load(tmp_path, "[lease]\nlease_s = 600\n\n[worker]\nidle_s = 60\nbind = \"slot\"\n", NUNATAK_WORKER_IDLE_S="30")
    assert (settings.lease.lease_s, settings.worker.idle_s, settings.worker.bind) == (600.0, 30.0, "slot")
    assert settings.origins["lease.lease_s"] == f"{tmp_path}/config.toml:2"
    assert settings.origins["worker.idle_s"] == "$NUNATAK_WORKER_IDLE_S"
    assert settings.origins["worker.bind"] == f"{tmp_path}/config.toml:6"


def test_dotted_keys_have_their_line_too(tmp_path):
    assert load(tmp_path, "# ours\nserver.bind = \"all\"\n").origins["server.bind"] == f"{tmp_path}/config.toml:2"


def test_variables_are_read_as_the_type_of_their_setting(tmp_path):
    settings = load(
        tmp_path, NUNATAK_LEASE_LEASE_S="6e2", NUNATAK_LEASE_MAX_LOSSES="7", NUNATAK_SERVER_BIND="all", NUNATAK_WORKER_KEEP_SLURM_ENV="Yes"
    )
    assert (settings.lease.lease_s, settings.lease.max_losses) == (600.0, 7)
    assert (settings.server.bind, settings.worker.keep_slurm_env) == ("all", True)


def test_what_a_jobfile_finds_in_its_environment_is_no_setting(tmp_path):
    load(tmp_path, NUNATAK_JOBFILE="x", NUNATAK_CAMPAIGN="c", NUNATAK_BLOCK="b", NUNATAK_REDIS_SERVER="/usr/bin/redis-server")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[lease]\n\nlese_s = 3\n", "config.toml:3: there is no setting 'lese_s' in [lease]; did you mean lease_s?"),
        ("[leases]\n", "config.toml:1: there is no section [leases]; did you mean lease?"),
        ("lease_s = 3\n", "config.toml:1: there is no section [lease_s]; lease_s belongs under [lease]"),
        ("lease = 3\n", "config.toml:1: lease is a section; write [lease] on a line of its own"),
        ("[lease]\nlease_s = \"long\"\n", "config.toml:2: lease_s='long': write a number"),
        ("[lease]\nlease_s = true\n", "config.toml:2: lease_s=True: write a number"),
        ("[lease]\nmax_losses = 1.5\n", "config.toml:2: max_losses=1.5: write a whole number"),
        ("[worker]\nkeep_slurm_env = 1\n", "config.toml:2: keep_slurm_env=1: write true or false"),
        ("[server]\nbind = \"world\"\n", "config.toml:2: bind='world': use loopback or all"),
        ("[server]\nfsync = \"all\"\nbind = \"all\"\n", "config.toml:2: fsync='all': use always"),
        ("[lease]\n# short\nlease_s = 30\n", "config.toml:3: renew_every_s=40 is too slow for lease_s=30: use 10 or less"),
        ("[lease]\nlease_s = \n", "config.toml:2: not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_remedy(tmp_path, text, expected):
    assert expected in complaint(tmp_path, text)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("NUNATAK_LEASE_LESE_S", "3", "there is no setting 'lese_s' in [lease]; did you mean $NUNATAK_LEASE_LEASE_S?"),
        ("NUNATAK_LEASE_LEASE_S", "soon", "$NUNATAK_LEASE_LEASE_S='soon': use a number"),
        ("NUNATAK_LEASE_LEASE_S", "nan", "use a number"),
        ("NUNATAK_WORKER_KEEP_SLURM_ENV", "perhaps", "use true or false"),
        ("NUNATAK_WORKER_BIND", "numa", "$NUNATAK_WORKER_BIND: bind='numa': use none or slot"),
    ],
)
def test_a_wrong_variable_is_refused_with_its_name_and_remedy(tmp_path, name, value, expected):
    assert expected in complaint(tmp_path, **{name: value})


def test_the_home_is_the_variables_absolute_path_or_in_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/nowhere")
    assert home({"NUNATAK_HOME": "h"}).root == tmp_path / "h"
    assert home({"NUNATAK_HOME": "~/h"}).root == Path("/nowhere/h")
    assert home({}).root == Path("/nowhere/.nunatak")
