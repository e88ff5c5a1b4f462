"""The pure parts of the test cluster: what a host sees, slurm.conf, and how missing parts are judged."""

from pathlib import Path

import pytest
from cluster.addresses import address, hardware_address, host_names, hosts_file
from cluster.slurm_conf import Shape, slurm_conf
from cluster.view import view


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder that others may enter, up to which pytest's own are closed."""
    made = tmp_path / "place"
    made.mkdir(mode=0o755)
    return made


def test_a_folder_behind_a_closed_one_is_bound_into_an_open_one(tmp_path):
    closed = tmp_path / "closed"
    wanted = closed / "deep" / "wanted"
    wanted.mkdir(parents=True)
    closed.chmod(0o700)
    seen = view([], [wanted])
    assert [(bind.source, bind.target, bind.read_only) for bind in seen.binds] == [(wanted, wanted, False)]
    assert any(cover == wanted or cover in wanted.parents for cover in seen.covers)


def test_the_entries_of_a_folder_that_is_closed_itself_are_bound_one_by_one(tmp_path):
    closed = tmp_path / "closed"
    (closed / "inner").mkdir(parents=True)
    (closed / "file").touch()
    closed.chmod(0o700)
    tmp_path.chmod(0o755)
    seen = view([closed], [])
    assert {bind.target for bind in seen.binds} in ({closed / "inner", closed / "file"}, {closed})


def test_what_is_open_all_along_needs_no_bind():
    assert view([Path("/usr")], []).binds == ()


def test_temporary_places_are_private_and_a_folder_in_them_is_shared_all_the_same(place):
    seen = view([], [place])
    assert {Path("/tmp"), Path("/dev/shm"), Path("/run"), Path("/var/tmp")} <= set(seen.covers)
    assert place in {bind.target for bind in seen.binds} or any(place in bind.target.parents for bind in seen.binds)


def test_settings_replace_keys_and_add_new_ones():
    text = slurm_conf(Shape(settings={"KillWait": "2", "LaunchParameters": "x"}), freezer=True)
    assert text.count("KillWait=") == 1
    assert {"KillWait=2", "LaunchParameters=x", "ProctrackType=proctrack/cgroup"} <= set(text.splitlines())


def test_the_first_partition_is_the_default_and_has_no_limit_unless_told():
    lines = slurm_conf(Shape(nodes=2, partitions={"skx-normal": "MaxTime=02:00:00", "small": ""}), freezer=True).splitlines()
    assert lines[-2:] == [
        "PartitionName=skx-normal Nodes=n[1-2] State=UP Default=YES MaxTime=02:00:00",
        "PartitionName=small Nodes=n[1-2] State=UP MaxTime=INFINITE",
    ]


def test_a_partition_has_the_nodes_that_are_named_and_all_where_none_are():
    lines = slurm_conf(Shape(nodes=3, partitions={"east": "MaxNodes=1 Nodes=n1", "west": "MaxNodes=2"}), freezer=True).splitlines()
    assert lines[-2:] == [
        "PartitionName=east State=UP Default=YES MaxTime=INFINITE MaxNodes=1 Nodes=n1",
        "PartitionName=west Nodes=n[1-3] State=UP MaxTime=INFINITE MaxNodes=2",
    ]


def test_containers_find_each_other_by_name():
    text = slurm_conf(Shape(nodes=2), freezer=False, addresses=False)
    assert "SlurmctldHost=ctl\n" in text
    assert "NodeAddr=n2" in text
    assert "proctrack/linuxproc" in text


def test_every_host_has_an_address_of_its_own():
    names = host_names(300)
    assert len({address(name) for name in names}) == len({hardware_address(name) for name in names}) == len(names)
    assert f"{address('n300')} n300\n" in hosts_file(300)
