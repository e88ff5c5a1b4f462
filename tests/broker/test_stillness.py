"""When a silent broker provably stands still, and when this node may just be cut off (LEASES rule 11)."""

import pytest

from broker.heartbeat import BadHeartbeat, Heartbeat, write_heartbeat
from broker.holding import boottime
from broker.home import Home
from broker.stillness import Look, Stillness, StillnessWatch, look

FRESH = 60.0


def followed(counter: int = 7) -> Stillness:
    """A worker in contact that has seen the file follow the broker."""
    stillness = Stillness()
    stillness.heard(counter)
    stillness.saw(Look(began=0.0, counter=counter, wrote=True))
    return stillness


def looked(stillness: Stillness, began: float, counter: int = 7, *, wrote: bool = True) -> float | None:
    seen = Look(began=began, counter=counter, wrote=wrote)
    stillness.saw(seen)
    return stillness.proved_until(seen, FRESH)


def test_a_counter_that_stood_still_for_three_times_the_freshness_lets_run_on_until_one_more() -> None:
    stillness = followed()
    assert looked(stillness, 170.0) is None
    assert looked(stillness, 180.0) == 240.0
    assert looked(stillness, 190.0) == 250.0


def test_a_counter_that_moves_proves_that_the_broker_lives_and_this_node_may_be_cut_off() -> None:
    stillness = followed()
    assert looked(stillness, 180.0) is not None
    assert looked(stillness, 190.0, counter=8) is None
    assert looked(stillness, 360.0, counter=8) is None
    assert looked(stillness, 371.0, counter=8) == 431.0


def test_a_read_without_a_write_proves_nothing() -> None:
    assert looked(followed(), 500.0, wrote=False) is None


def test_a_look_that_failed_starts_the_wait_anew() -> None:
    stillness = followed()
    stillness.saw(Look(began=100.0, counter=7, wrote=True))
    stillness.forget()
    assert looked(stillness, 200.0) is None
    assert looked(stillness, 380.0) == 440.0


def test_a_file_that_never_followed_the_broker_proves_nothing() -> None:
    stillness = Stillness()
    stillness.heard(9)
    assert looked(stillness, 0.0) is None
    assert looked(stillness, 1000.0) is None, "a mount that shows an old file"


def test_a_file_must_be_seen_to_follow_again_from_time_to_time() -> None:
    stillness = followed(7)
    stillness.distrust()
    stillness.heard(12)
    assert looked(stillness, 1000.0) is None


def test_a_look_reads_the_counter_and_proves_that_this_node_can_write(home: Home) -> None:
    with pytest.raises(BadHeartbeat):
        look(home, "c101")
    write_heartbeat(home, Heartbeat(counter=41, epoch=1, writer="h:1"))
    before = boottime()
    seen = look(home, "c101")
    assert seen.counter == 41
    assert seen.wrote
    assert before <= seen.began <= boottime()
    assert (home.heartbeat_dir / "node-c101").stat().st_size == 64


def test_a_watch_hands_on_proofs_only_while_the_broker_is_silent(home: Home) -> None:
    proofs: list[float] = []
    watch = StillnessWatch(home, "c101", proofs.append)
    write_heartbeat(home, Heartbeat(counter=5, epoch=1, writer="h:1"))
    watch.contact(5, 0.0)  # so that any standing still is long enough
    watch.run_once(0.0)
    assert proofs == []
    watch.silence()
    watch.run_once(0.0)
    assert len(proofs) == 1
    home.heartbeat_file.unlink()
    watch.run_once(0.0)
    assert len(proofs) == 1, "a missing file proves nothing"
