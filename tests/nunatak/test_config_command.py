"""`nunatak config`."""

from filled_queue import call

from nunatak.cli.config import without_password


def test_every_setting_is_shown_with_where_it_came_from(tmp_path, monkeypatch):
    (tmp_path / "config.toml").write_text("[worker]\nidle_s = 60\n")
    monkeypatch.setenv("NUNATAK_LEASE_LEASE_S", "600")
    said = call(tmp_path, "config", "--json").json
    assert said["home"] == {"value": str(tmp_path), "from": "$NUNATAK_HOME"}
    assert said["worker.idle_s"] == {"value": 60.0, "from": f"{tmp_path}/config.toml:2"}
    assert said["lease.lease_s"] == {"value": 600.0, "from": "$NUNATAK_LEASE_LEASE_S"}
    assert said["server.fsync"] == {"value": "always", "from": "default"}


def test_the_table_says_where_to_change_them(tmp_path):
    said = call(tmp_path, "config")
    assert any(line.split() == ["lease.renew_every_s", "40", "default"] for line in said.out.splitlines())
    assert str(tmp_path / "config.toml") in said.err


def test_it_needs_no_broker_and_makes_nothing(tmp_path):
    assert call(tmp_path / "new", "config").code == 0
    assert not (tmp_path / "new").exists()


def test_a_password_in_a_servers_url_is_not_shown():
    assert without_password("redis://user:se:cret@host:1234/0") == "redis://user:***@host:1234/0"
    assert without_password("redis://host:1234") == "redis://host:1234"
