"""Processes whose wall clock a test can set, without touching the machine's: a few lines of C in front of the C library."""

import mmap
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import missing

_SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long *offset_s;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("STEPPED_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *seen = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (seen != MAP_FAILED) offset_s = seen;
}

static long by(void) { return offset_s ? *offset_s : 0; }

int clock_gettime(clockid_t which, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(which, now);
    if (done == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) now->tv_sec += by();
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    now->tv_sec = t.tv_sec;
    now->tv_usec = t.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (now) *now = t.tv_sec;
    return t.tv_sec;
}
"""
#: First lines of a jobfile that keeps the machine's own clock: it is the witness.
TRUE_CLOCK = '[ -z "$LD_PRELOAD" ] || exec env -u LD_PRELOAD bash "$0"'


class SteppedClock:
    """The wall clock of every process that is started with `environ`."""

    def __init__(self, library: Path, offset: Path) -> None:
        self.environ = {"LD_PRELOAD": str(library), "STEPPED_CLOCK": str(offset)}
        offset.write_bytes(struct.pack("l", 0))
        self._file = offset.open("r+b")
        self._seen = mmap.mmap(self._file.fileno(), 8)

    def step(self, by_s: int) -> None:
        """Set it so far before (or behind) the machine's, at once and for all of them."""
        self._seen[:] = struct.pack("l", by_s)

    def close(self) -> None:
        self._seen.close()
        self._file.close()


@contextmanager
def stepped_clock(folder: Path) -> Iterator[SteppedClock]:
    compiler = shutil.which("cc") or missing("a C compiler")
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(_SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    clock = SteppedClock(library, folder / "offset")
    try:
        yield clock
    finally:
        clock.close()
