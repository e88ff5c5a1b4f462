"""What `appendfsync always` costs against `everysec`, side by side on this disk: python benchmarks/bench_fsync.py [SECONDS].

Prints the ratio of acknowledged scripts per second, for one client and for sixteen at a time: with many, one fsync serves them all.
The two servers take turns in short slices, so that a busy neighbour meets both.
"""

import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import redis

from broker.address import this_host
from broker.binary import find_server
from broker.client import Endpoint, connect
from broker.server import ServerConf, choose_port, start

SLICE_S = 0.5
#: As many writes as a claim or a renewal makes.
SCRIPT = "redis.call('HSET', KEYS[1], 'a', ARGV[1], 'b', ARGV[1]) redis.call('ZADD', 'leases', ARGV[1], KEYS[1]) return 1"


@contextlib.contextmanager
def server(fsync: str, root: Path) -> Iterator[Endpoint]:
    binary = find_server(os.environ, os.environ["PATH"])
    folder = root / fsync
    folder.mkdir()
    conf = ServerConf(
        directory=folder, socket=folder / "s", port=choose_port(0, "loopback"), bind="loopback", fsync=fsync, password="bench",
        maxclients=200, log_file=folder / "log", version=binary.version,
    )
    process = start(binary, conf)
    endpoint = Endpoint(host="", port=0, socket=str(folder / "s"), password="bench")
    try:
        for _ in range(500):
            with contextlib.suppress(redis.RedisError), contextlib.closing(connect(endpoint)) as client:
                client.ping()
                break
            time.sleep(0.02)
        yield endpoint
    finally:
        process.end(10)


def slice_of(endpoint: Endpoint, clients: int) -> float:
    """Acknowledged scripts per second in one slice."""
    counts = [0] * clients
    begin = time.monotonic()

    def work(number: int) -> None:
        with contextlib.closing(connect(endpoint)) as client:
            call = client.register_script(SCRIPT)
            while time.monotonic() - begin < SLICE_S:
                call(keys=[f"job:{number}:{counts[number] % 100}"], args=[counts[number]])
                counts[number] += 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - begin)


def main(seconds: float) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="nb-") as root,
        server("always", Path(root)) as always,
        server("everysec", Path(root)) as everysec,
    ):
        print(f"{this_host()}: data in {root}")
        for clients in (1, 16):
            rates: dict[str, list[float]] = {"always": [], "everysec": []}
            for _ in range(max(1, round(seconds / SLICE_S / 2))):
                rates["always"].append(slice_of(always, clients))
                rates["everysec"].append(slice_of(everysec, clients))
            fast, slow = (sorted(rates[k])[len(rates[k]) // 2] for k in ("everysec", "always"))
            print(f"{clients:2d} client(s): always {slow:.0f}/s, everysec {fast:.0f}/s: ratio {slow / fast:.2f}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 6.0)
