"""The heartbeat file."""

import os

import pytest

from broker.heartbeat import BadHeartbeat, Heartbeat, decode, encode, read_heartbeat, write_heartbeat
from broker.home import Home

ONE = Heartbeat(counter=1, epoch=1, writer="login1:42")
MANY = Heartbeat(counter=10**9, epoch=37, writer="login1.some.cluster:4194304")


def test_what_is_written_is_read(home: Home):
    write_heartbeat(home, ONE)
    assert read_heartbeat(home) == ONE


def test_no_file_is_no_heartbeat_and_no_error(home: Home):
    assert read_heartbeat(home) is None


def test_it_is_overwritten_in_place_and_leaves_nothing_of_the_last_one(home: Home):
    write_heartbeat(home, MANY)
    before = home.heartbeat_file.stat()
    write_heartbeat(home, ONE)
    after = home.heartbeat_file.stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    assert read_heartbeat(home) == ONE
    assert after.st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cut", [0, 1, 20, 60])
def test_a_torn_file_is_an_error_and_never_another_number(cut):
    whole = encode(MANY)
    with pytest.raises(BadHeartbeat):
        decode(whole[:cut] + encode(ONE)[cut:][: 256 - cut] if cut else b"")


def test_it_is_on_the_disk_before_anything_else_is_done(home: Home, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(home.heartbeat_file.read_bytes()), fsync(fd)))
    write_heartbeat(home, ONE)
    assert synced == [encode(ONE)]
