"""The folders of the server's data, and moving from one to the next."""

import dataclasses
import os
import time

import pytest

from broker import epoch as epochs
from broker.epoch import NO_HEARTBEAT, begin, is_complete, newest, oldest_write_s, prune
from broker.epoch import epochs as all_epochs
from broker.errors import Unreachable
from broker.heartbeat import Heartbeat, write_heartbeat
from broker.home import Home

BEAT = Heartbeat(counter=7, epoch=1, writer="login1:42")


def with_data(home: Home, epoch: int, text: str = "data") -> None:
    folder = home.epoch_dir(epoch) / "appendonlydir"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "appendonly.aof.1.incr.aof").write_text(text)
    (home.epoch_dir(epoch) / "server.conf").write_text("requirepass old")
    (home.epoch_dir(epoch) / "temp-rewriteaof-1.aof").write_text("half")


def test_the_first_epoch_is_one_and_complete(home: Home):
    assert newest(home) == 0
    assert begin(home, NO_HEARTBEAT) == 1
    assert all_epochs(home) == [1]
    assert is_complete(home, 1)
    assert home.epoch_dir(1).stat().st_mode & 0o777 == 0o700


def test_the_next_one_is_a_copy_and_the_last_one_is_untouched(home: Home):
    begin(home, NO_HEARTBEAT)
    with_data(home, 1)
    write_heartbeat(home, BEAT)
    assert begin(home, 7) == 2
    copied = sorted(str(p.relative_to(home.epoch_dir(2))) for p in home.epoch_dir(2).rglob("*"))
    assert copied == ["appendonlydir", "appendonlydir/appendonly.aof.1.incr.aof", "complete"]
    with_data(home, 2, "changed")
    assert (home.epoch_dir(1) / "appendonlydir/appendonly.aof.1.incr.aof").read_text() == "data"


def test_a_heartbeat_that_moved_stops_the_move_and_leaves_nothing(home: Home):
    begin(home, NO_HEARTBEAT)
    with_data(home, 1)
    write_heartbeat(home, BEAT)
    with pytest.raises(Unreachable, match=r"went from 6 to 7.*nothing was taken over"):
        begin(home, 6)
    assert all_epochs(home) == [1]


def test_a_heartbeat_that_moves_while_the_data_is_copied_stops_the_move(home: Home, monkeypatch):
    begin(home, NO_HEARTBEAT)
    with_data(home, 1)
    write_heartbeat(home, BEAT)
    copy = epochs._copy_file

    def copy_while_the_other_wakes_up(source, target):
        copy(source, target)
        write_heartbeat(home, dataclasses.replace(BEAT, counter=8))

    monkeypatch.setattr(epochs, "_copy_file", copy_while_the_other_wakes_up)
    with pytest.raises(Unreachable, match="went from 7 to 8"):
        begin(home, 7)
    assert all_epochs(home) == [1]


def test_of_two_that_begin_the_same_epoch_one_is_refused(home: Home, monkeypatch):
    monkeypatch.setattr(epochs, "newest", lambda _home: 0)
    begin(home, NO_HEARTBEAT)
    with pytest.raises(Unreachable, match="another host is starting the broker"):
        begin(home, NO_HEARTBEAT)
    assert is_complete(home, 1)


def test_an_epoch_whose_copy_was_cut_short_is_never_used(home: Home):
    begin(home, NO_HEARTBEAT)
    with_data(home, 1, "whole")
    write_heartbeat(home, BEAT)
    with_data(home, 2, "ha")  # its host died while it copied
    assert not is_complete(home, 2)
    assert begin(home, 7) == 3
    assert (home.epoch_dir(3) / "appendonlydir/appendonly.aof.1.incr.aof").read_text() == "whole"


def test_old_epochs_go_and_the_one_before_stays(home: Home):
    for _ in range(4):
        begin(home, NO_HEARTBEAT)
    home.epoch_dir(7).mkdir()  # somebody is beginning a later one
    prune(home, 4)
    assert all_epochs(home) == [3, 4, 7]


def test_an_epoch_that_was_never_completed_goes_too(home: Home):
    begin(home, NO_HEARTBEAT)
    home.epoch_dir(2).mkdir()
    assert begin(home, NO_HEARTBEAT) == 3
    prune(home, 3)
    assert all_epochs(home) == [1, 3]


def test_the_age_is_that_of_the_file_that_rested_longest(home: Home):
    begin(home, NO_HEARTBEAT)
    assert oldest_write_s(home, 1) is None
    with_data(home, 1)
    base = home.epoch_dir(1) / "appendonlydir" / "appendonly.aof.1.base.rdb"
    base.write_text("x")
    os.utime(base, (1000.0, 1000.0))
    assert oldest_write_s(home, 1) == 1000.0
    assert time.time() - 1000 > 5 * 86400
