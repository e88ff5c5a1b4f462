"""All benchmarks, one after the other, each in a process of its own: python -I benchmarks/bench_all.py [--quick].

For a machine that does nothing else: about an hour in full. `--quick` (some minutes) only shows that each of them works.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

#: Arguments in full, and for a quick look.
FILES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "bench_cpu.py": (("1000", "5"), ("60", "1")),
    "bench_trivial.py": (("1000", "5"), ("40", "1")),
    "bench_node.py": (("120",), ("5",)),
    "bench_enqueue.py": (("100000",), ("2000",)),
    "bench_ledger.py": (("100000",), ("2000",)),
    "bench_fsync.py": (("20",), ("2",)),
    "bench_policy.py": (("5",), ("1",)),
}


def main(quick: bool) -> int:
    print(f"{os.uname().nodename}, {os.cpu_count()} processors, Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}", flush=True)
    failed = []
    for name, sizes in FILES.items():
        command = [sys.executable, "-I", str(Path(__file__).parent / name), *sizes[quick]]
        print(f"\n## {name} {' '.join(sizes[quick])}", flush=True)
        begin = time.monotonic()
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
        print(f"({time.monotonic() - begin:.0f} s)", flush=True)
    if failed:
        print(f"\nFAILED: {', '.join(failed)}", flush=True)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main("--quick" in sys.argv[1:]))
