"""Shares of a node and priorities, by what the jobfiles themselves say of when they ran."""

from broker.records import State


def _write_into(machine, folder: str, names: str, seconds: float, header: str = "") -> str:
    """Jobfiles in a folder of their own; returns it."""
    target = machine.folder / folder
    target.mkdir(exist_ok=True)
    for name in names:
        machine.write_ticking(name, seconds, header=header).rename(target / f"qsub_{name}.sh")
    return str(target)


def _started(machine) -> str:
    return "".join(run.name for run in machine.log.runs())


def test_a_node_is_never_overfilled_whatever_shares_meet_on_it(machine):
    weights = dict.fromkeys("abcdef", 1 / 2) | dict.fromkeys("XYZ", 1.0) | dict.fromkeys("stuvw", 1 / 4) | {"H": 1.0}
    halves = _write_into(machine, "halves", "abcdef", 0.5)
    wholes = _write_into(machine, "wholes", "XYZ", 0.5)
    slots = _write_into(machine, "slots", "stuvw", 0.5)
    _write_into(machine, "slots", "H", 0.5, header="#NUNATAK per_node=1")
    for folder, words in ((halves, ("--per-node", "2")), (wholes, ("--per-node", "1")), (slots, ())):
        assert machine.call("enqueue", folder, *words).code == 0
    machine.start_node("s1", slots=4)
    jobs = machine.wait_ended()
    assert {job.state for job in jobs.values()} == {State.DONE}
    assert {name: job.per_node for name, job in jobs.items()} == {n: 0 if w == 1 / 4 else round(1 / w) for n, w in weights.items()}
    assert {run.name for run in machine.log.runs()} == set(weights)
    assert machine.log.most_at_once(weights) == 1.0, "never more than a node, and once at least a full one"
    # Neither more jobfiles at a time than slots.
    assert machine.log.most_at_once(dict.fromkeys(weights, 1.0)) <= 4
    machine.assert_nothing_left()


def test_two_of_half_a_node_run_side_by_side_on_four_slots(machine):
    halves = _write_into(machine, "halves", "abcd", 0.6)
    assert machine.call("enqueue", halves, "--per-node", "2").code == 0
    machine.start_node("s2", slots=4)
    machine.wait_ended()
    assert machine.log.most_at_once(dict.fromkeys("abcd", 1.0)) == 2
    machine.assert_nothing_left()


def test_higher_priorities_come_first_and_a_header_is_above_the_campaigns(machine):
    low = _write_into(machine, "low", "ab", 0.2)
    _write_into(machine, "low", "z", 0.2, header="#NUNATAK priority=9")
    high = _write_into(machine, "high", "cd", 0.2)
    _write_into(machine, "high", "y", 0.2, header="#NUNATAK priority=0")
    assert machine.call("enqueue", low, "--priority", "2").code == 0
    assert machine.call("enqueue", high, "--priority", "7").code == 0
    machine.start_node("s3", slots=1)
    machine.wait_ended()
    assert _started(machine) == "zcdaby"
    machine.assert_nothing_left()
