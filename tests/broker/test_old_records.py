"""Records that nobody will read again go; those that the next claim looks for stay."""

from pathlib import Path

from verb_bench import DIRECTORY, Bench

from broker.enqueue import job_id
from broker.home import Home
from broker.lease import Phase
from broker.old_records import sweep


def record(home: Home, name: str, attempt: int) -> Path:
    identity = job_id(DIRECTORY, name)
    path = home.records_dir / identity[:2] / f"{identity}.{attempt}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")
    return path


def test_records_of_ended_forgotten_and_earlier_attempts_go_and_the_latest_attempts_stays(bench: Bench, home: Home) -> None:
    bench.enqueue("waits.sh")
    for number in range(2):
        claim = bench.claim(f"w{number}")
        bench.renew(claim, phase=Phase.RUNNING)
        bench.lose()
    bench.enqueue("done.sh")
    done = bench.claim("w9")
    assert done.name == "done.sh"
    bench.settle(done)
    waits = record(home, "waits.sh", 2)
    gone = [record(home, "waits.sh", 1), record(home, "done.sh", 1), record(home, "forgotten.sh", 1)]
    assert sweep(home, bench.client, 3600.0) == 0, "they are young"
    assert sweep(home, bench.client, -1.0) == len(gone)
    assert waits.exists()
    assert not any(path.exists() for path in gone)
