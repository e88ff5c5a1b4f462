"""Write a directory of sample jobfiles: same tree, names, outputs and done rule as an ArcticDEM production, in seconds instead of hours.

    python -I -m nunatak.samples OUT [--count 40] [--median-s 1.0] [--sigma 0.55] [--max-s 5] [--seed 1] [--awkward]

OUT/region_03_conus/jobfiles/2m/qsub_<pair>.sh
    -> OUT/region_03_conus/tif_results/2m/<strip>_2m/<pair>_{dem_smooth.tif,matchtag.tif,ortho.tif,meta.txt}

Each jobfile stands in for a SETSM run: it makes a working directory beside its outputs, works in steps and prints them, writes the outputs
under other names first, and removes the working directory last. It appends one line to OUT/runs.log when it starts and one when it ends
(time, start or end, host, process, pair, attempt), so that every run and any overlap can be seen. Durations are lognormal, as the
production's were. --awkward adds the hard cases in jobfiles/awkward/. The same seed writes the same files.
"""

import argparse
import math
import os
import random
from pathlib import Path

REGION = "region_03_conus"
RESOLUTION = "2m"
#: A progress line every quarter of a second, and at most this many.
_STEPS_PER_S = 4
_MAX_STEPS = 20

_STAND_IN = r"""#!/bin/bash
# Stands in for a SETSM run: a scene pair in, four outputs out.
set -u
script=$(readlink -f "$0")
pair=$(basename "$script" .sh); pair=${pair#qsub_}
res=$(basename "$(dirname "$script")")
root=$(dirname "$(dirname "$(dirname "$script")")")
base=$root/tif_results/$res/${pair:0:47}_$res/$pair
# One short write in append mode: lines of several nodes do not mix.
note() { echo "$(date +%s.%N) $1 $(hostname) $$ $pair ${NUNATAK_ATTEMPT:-0}" >> "$root/../runs.log"; }

note start
mkdir -p "$base" || exit 1
for step in $(seq 1 @STEPS@); do
  sleep @STEP_S@
  echo "step $step of @STEPS@: matching" | tee -a "$base/progress.txt"
done
for product in dem_smooth matchtag ortho; do
  head -c 65536 /dev/urandom > "${base}_$product.tif.part" && mv "${base}_$product.tif.part" "${base}_$product.tif" || exit 1
done
printf 'pair: %s\nhost: %s\n' "$pair" "$(hostname)" > "${base}_meta.txt.part" && mv "${base}_meta.txt.part" "${base}_meta.txt" || exit 1
# Last: while it is there, the outputs may be half-written.
rm -rf "$base"
printf 'Total Processing Time: %d:%02d:%02d\n' $((SECONDS / 3600)) $((SECONDS / 60 % 60)) $((SECONDS % 60))
note end
"""

#: Hard cases, by name: its content, and whether it has an execute bit.
AWKWARD: dict[bytes, tuple[bytes, bool]] = {
    b"qsub_with space.sh": (b"#!/bin/bash\necho ok\n", True),
    "qsub_ünïcode.sh".encode(): (b"#!/bin/bash\necho ok\n", True),
    # Latin-1, as old archives have it: no UTF-8.
    b"qsub_latin1_\xfc.sh": (b"#!/bin/bash\necho ok\n", True),
    b"qsub_crlf.sh": (b"#!/bin/bash\r\necho ok\r\n", True),
    b"qsub_no_execute_bit.sh": (b"#!/bin/bash\necho ok\n", False),
    b"qsub_no_shebang.sh": (b"echo ok\n", True),
    b"qsub_no_interpreter.sh": (b"#!/opt/no/such/shell\necho ok\n", True),
    b"qsub_flaky.sh": (b'#!/bin/bash\n[ "${NUNATAK_ATTEMPT:-1}" -ge 2 ] || { echo "first time" >&2; exit 3; }\necho ok\n', True),
    b"qsub_fails.sh": (b"#!/bin/bash\necho broken >&2\nexit 7\n", True),
    b"qsub_killed.sh": (b"#!/bin/bash\nkill -9 $$\n", True),
    # Exit code 0, and its output never comes.
    b"qsub_silent.sh": (b"#!/bin/bash\n#NUNATAK done={stem}.never\nexit 0\n", True),
    # A process in a session of its own that outlives the script.
    b"qsub_escape.sh": (b"#!/bin/bash\nsetsid sleep 300 >/dev/null 2>&1 &\necho ok\n", True),
    b"qsub_chatty.sh": (b"#!/bin/bash\nhead -c 30000000 /dev/zero | tr '\\0' x; echo\n", True),
    b"qsub_header.sh": (
        b"#!/bin/bash\n#SBATCH --time=11:00:00\n#SBATCH --cpus-per-task=24\n#NUNATAK priority=7\necho ok\n",
        True,
    ),
    b"qsub_bad_header.sh": (b"#!/bin/bash\n#NUNATAK walltme=11h\necho ok\n", True),
    b"qsub_binary.sh": (bytes(range(256)) * 16, True),
    b"qsub_empty.sh": (b"", True),
    b"notes.txt": (b"not a jobfile\n", False),
}


def write_samples(out: Path, *, count: int, median_s: float, sigma: float, max_s: float, seed: int) -> Path:
    """Write `count` stand-ins and return their directory."""
    folder = out / REGION / "jobfiles" / RESOLUTION
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    for number in range(count):
        seconds = min(max_s, rng.lognormvariate(math.log(median_s), sigma))
        _write(folder / f"qsub_{pair_name(rng, number)}.sh", stand_in(seconds), executable=True)
    return folder


def write_awkward(out: Path) -> Path:
    """Write the hard cases and return their directory."""
    folder = out / REGION / "jobfiles" / "awkward"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (content, executable) in AWKWARD.items():
        _write(folder / os.fsdecode(name), content, executable=executable)
    return folder


def stand_in(seconds: float) -> bytes:
    """The text of a jobfile that works for about `seconds`."""
    steps = max(1, min(_MAX_STEPS, round(seconds * _STEPS_PER_S)))
    return _STAND_IN.replace("@STEPS@", str(steps)).replace("@STEP_S@", f"{seconds / steps:.3f}").encode()


def pair_name(rng: random.Random, number: int) -> str:
    """`<sensor>_<day>_<catalogue id>_<catalogue id>_<order>_<order>_2`; the first 47 characters name the strip."""
    day = f"2018{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"
    first, second = (f"10400100{rng.getrandbits(32):08X}" for _ in range(2))
    orders = [f"5026{rng.randint(10_000_000, 99_999_999)}_01_P{number:03d}" for _ in range(2)]
    return f"WV03_{day}_{first}_{second}_{orders[0]}_{orders[1]}_2"


def _write(path: Path, content: bytes, *, executable: bool) -> None:
    path.write_bytes(content)
    mode = path.stat().st_mode & 0o666
    path.chmod(mode | ((mode & 0o444) >> 2 if executable else 0))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -I -m nunatak.samples", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="the directory to write, made if it is not there")
    parser.add_argument("--count", type=_count, default=40, help="how many jobfiles")
    parser.add_argument("--median-s", type=_positive, default=1.0, help="half of them take less")
    parser.add_argument("--sigma", type=_positive, default=0.55, help="spread of the durations' logarithms")
    parser.add_argument("--max-s", type=_positive, default=5.0, help="none takes longer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--awkward", action="store_true", help="add the hard cases")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of jobfiles; write 0 or more")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of more than 0")
    return value


def main() -> None:
    """Write what the command line asks for, and say where."""
    args = _parser().parse_args()
    folder = write_samples(args.out, count=args.count, median_s=args.median_s, sigma=args.sigma, max_s=args.max_s, seed=args.seed)
    print(f"{args.count} jobfiles in {folder}")
    if args.awkward:
        print(f"{len(AWKWARD)} hard cases in {write_awkward(args.out)}")


if __name__ == "__main__":
    main()
