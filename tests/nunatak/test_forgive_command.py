"""`nunatak blocks forgive`: a person's word that a node is well again."""

from filled_queue import Command, Queue

_FAILED = {"verdict": "failed", "reason": "exit code 3", "exit_code": 3, "elapsed_s": 0.1, "counts_as_failure": True, "retry": True}


def test_a_bad_node_is_named_with_its_remedy_and_forgiven_by_it(nunatak: Command, queue: Queue):
    queue.add("c", *(f"qsub_{n:02d}.sh" for n in range(12)))
    queue.broker.ledger.record_block("b1", {"site": "here", "state": "running"})
    for _ in range(3):
        queue.end(queue.claim("c", "w1", "c101-001"))
    for _ in range(3):
        queue.end(queue.claim("c", "w2", "c101-002"), **_FAILED)

    words = " ".join(nunatak("status").out.split())
    assert "1 bad node given nothing more: c101-002 (block b1)" in words
    assert "mended: nunatak blocks forgive NODE" in words

    assert "c101-002 is given jobfiles again" in nunatak("blocks", "forgive", "c101-002").err
    assert queue.broker.ledger.bad_nodes() == []
    assert queue.claim("c", "w2", "c101-002").job_id
    assert "c101-002 is not among the bad nodes" in nunatak("blocks", "forgive", "c101-002").err
