"""What the blocks of these tests run on each node: it notes its start, its environment and each signal that reaches it.

`block_task.py FOLDER SECONDS GRACE_S EXIT_CODE`: ends after SECONDS, or GRACE_S after TERM. Standard library only.
"""

import json
import os
import signal
import sys
import time

folder, seconds, grace_s, code = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
node = os.uname().nodename
asked = False


def say(word: str) -> None:
    with open(f"{folder}/{node}.log", "a") as log:  # noqa: PTH123
        log.write(f"{word}\n")


def heard(number: int, _frame: object) -> None:
    global asked
    say(signal.Signals(number).name)
    asked = asked or number == signal.SIGTERM


for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, heard)
with open(f"{folder}/{node}.env", "w") as file:  # noqa: PTH123
    json.dump(dict(os.environ), file)
say(f"start {os.getpid()} {sorted(os.sched_getaffinity(0))}")
end = time.monotonic() + seconds
while not asked and time.monotonic() < end:
    time.sleep(0.1)
if asked:
    time.sleep(grace_s)
say("end")
sys.exit(code)
