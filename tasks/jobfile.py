"""One jobfile: read it once, say what is wrong with it before it costs a node, and how it is run."""

import errno
import hashlib
import os
import re
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import BadJobfile, JobfileGone, JobfileUnreadable
from tasks.header import BadHeader, Hints, JobfileOptions, parse_header

__all__ = ["BadJobfile", "Hints", "Jobfile", "JobfileGone", "JobfileOptions", "JobfileUnreadable", "argv", "read_jobfile", "shell_word"]

#: A script of this size is data that was named wrongly; it would also be read at every attempt.
MAX_BYTES = 4 << 20
DEFAULT_INTERPRETER = ("/bin/bash",)
#: Linux reads 256 bytes of a shebang line (BINPRM_BUF_SIZE), with its newline.
_SHEBANG_BYTES = 255
_BOM = b"\xef\xbb\xbf"
_STRANGE = {
    stat.S_IFDIR: "is a directory",
    stat.S_IFIFO: "is a named pipe",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
}
#: Commands that do not do inside a jobfile what they do in a batch job, and why.
_STRANGERS = {
    "srun": "it was seen to start its tasks on another node, and they cannot be frozen or ended with the jobfile",
    "ibrun": "the variables of the batch job that it needs are removed (keep_slurm_env = true in the site file keeps them)",
    "mpirun": "the variables of the batch job that it may need are removed (keep_slurm_env = true in the site file keeps them)",
    "mpiexec": "the variables of the batch job that it may need are removed (keep_slurm_env = true in the site file keeps them)",
    "sbatch": "most sites refuse it on a compute node, and nobody here watches the job that it starts",
    "ssh": "what it starts on another host cannot be frozen or ended with the jobfile",
    "docker": "its containers belong to a daemon and cannot be frozen or ended with the jobfile",
}
_STRANGER_NAMES = tuple(name.encode() for name in _STRANGERS)
_STRANGER = re.compile(rb"(?<![\w./$={-])(?:/(?:[\w.+-]+/)*)?(%s)(?=[\s;&|)`]|\Z)" % "|".join(_STRANGERS).encode())
_COMMENT = re.compile(rb"(?:^|\s)#")


@dataclass(frozen=True, kw_only=True, slots=True)
class Jobfile:
    """A jobfile that can be run."""

    path: Path
    #: The program that reads it, with its argument if its shebang has one.
    interpreter: tuple[str, ...]
    options: JobfileOptions
    hints: Hints
    #: BLAKE2b of the text, so that an attempt can say which text ran.
    fingerprint: str
    #: What may surprise its user, as sentences.
    warnings: tuple[str, ...]


def read_jobfile(path: Path) -> Jobfile:
    """Read and check a jobfile; raises BadJobfile, JobfileGone if it is there no more, JobfileUnreadable if nobody can tell."""
    text = _read(path)
    _check_text(path, text)
    try:
        header = parse_header(text)
    except BadHeader as error:
        raise BadJobfile(path, error.line, error.reason, error.remedy) from error
    return Jobfile(
        path=path,
        interpreter=_interpreter(path, text),
        options=header.options,
        hints=header.hints,
        fingerprint=hashlib.blake2b(text, digest_size=16).hexdigest(),
        warnings=header.warnings + _strangers(text),
    )


def argv(jobfile: Jobfile) -> tuple[str, ...]:
    """The command that runs a jobfile: its shebang's, else bash's, so that no execute bit is needed."""
    return (*jobfile.interpreter, os.path.abspath(jobfile.path))


def _read(path: Path) -> bytes:
    try:
        # Without O_NONBLOCK the open of a named pipe would wait for ever.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise _refusal(path, error) from error
    try:
        _check_kind(path, os.fstat(fd))
        return _read_all(path, fd)
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        os.close(fd)


def _read_all(path: Path, fd: int) -> bytes:
    """A read may give less than asked for; a file that grows meanwhile is too large, not cut."""
    pieces, size = [], 0
    while piece := os.read(fd, MAX_BYTES + 1 - size):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_BYTES:
            raise _too_large(path, size)
    return b"".join(pieces)


def _check_kind(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _STRANGE.get(stat.S_IFMT(found.st_mode), "is no regular file")
        raise BadJobfile(path, None, kind, "a jobfile is a regular file; choose others with --pattern")
    if found.st_size > MAX_BYTES:
        raise _too_large(path, found.st_size)


def _too_large(path: Path, size: int) -> BadJobfile:
    reason = f"has {size / (1 << 20):.1f} MB or more, and a jobfile has at most {MAX_BYTES >> 20}"
    return BadJobfile(path, None, reason, "keep data in files of its own, or choose others with --pattern")


def _refusal(path: Path, error: OSError) -> BadJobfile:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return _missing(path)
    if error.errno == errno.ENXIO:
        return BadJobfile(path, None, _STRANGE[stat.S_IFSOCK], "a jobfile is a regular file; choose others with --pattern")
    remedy = f"try: ls -l {shell_word(path)}"
    if error.errno == errno.EACCES:
        remedy = f"try: chmod u+r {shell_word(path)}"
    return JobfileUnreadable(path, None, f"cannot be read: {error.strerror or error}", remedy)


def _missing(path: Path) -> BadJobfile:
    """A file missing from a directory that is there is gone; a missing directory may be a filesystem not mounted on this host."""
    if not os.path.isdir(path.parent):
        return JobfileUnreadable(path, None, "its directory is not there, on this host", f"try: ls -d {shell_word(path.parent)}")
    if os.path.lexists(path):
        return BadJobfile(path, None, "is a link to a file that is not there", f"try: ls -l {shell_word(path)}")
    return JobfileGone(path, None, "jobfile gone", "put it back and retry it, or leave it: nothing else depends on it")


def shell_word(path: Path) -> str:
    """The path as a shell reads it; bytes that are no UTF-8 become escapes that bash understands, so that a remedy can be pasted."""
    text = os.fspath(path)
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(chr(b) if 32 <= b < 127 and b not in b"'\\" else f"\\x{b:02x}" for b in os.fsencode(path)) + "'"


def _check_text(path: Path, text: bytes) -> None:
    if not text or text.isspace():
        raise BadJobfile(path, None, "is empty", "write it again; was the disk or the quota full?")
    if b"\0" in text:
        line = text.count(b"\n", 0, text.index(b"\0")) + 1
        raise BadJobfile(path, line, "is binary (it holds a NUL byte)", "a jobfile is a script; choose others with --pattern")
    if text.startswith(_BOM):
        remedy = f"try: sed -i '1s/^\\xEF\\xBB\\xBF//' {shell_word(path)}"
        raise BadJobfile(path, 1, "begins with a byte order mark, so its first line is not understood", remedy)
    if b"\r" in text:
        _check_line_ends(path, text)


def _check_line_ends(path: Path, text: bytes) -> None:
    at = text.find(b"\r\n")
    if at < 0 and text.endswith(b"\r"):
        at = len(text) - 1
    if at < 0 and b"\n" in text:
        return  # A carriage return within a line may be meant, as in a progress display.
    if at < 0 or b"\n" not in text:
        raise BadJobfile(path, 1, "has old Macintosh line ends (CR)", f"try: sed -i 's/\\r/\\n/g' {shell_word(path)}")
    line = text.count(b"\n", 0, at) + 1
    raise BadJobfile(path, line, "has Windows line ends (CR LF)", f"try: sed -i 's/\\r$//' {shell_word(path)}")


def _interpreter(path: Path, text: bytes) -> tuple[str, ...]:
    """As Linux reads it (execve(2)): a program and at most one argument, which may hold blanks."""
    if not text.startswith(b"#!"):
        return DEFAULT_INTERPRETER
    line = text[2:].split(b"\n", 1)[0].strip(b" \t")
    words = tuple(os.fsdecode(word) for word in line.split(None, 1))
    reason = _shebang_objection(line, words)
    if reason:
        raise BadJobfile(path, 1, reason, "begin it with #!/bin/bash, or with another program's whole path")
    return words


def _shebang_objection(line: bytes, words: tuple[str, ...]) -> str | None:
    if not words:
        return "its shebang names no program"
    if len(line) + 2 > _SHEBANG_BYTES:
        return f"its shebang is longer than the {_SHEBANG_BYTES} bytes that Linux reads"
    if not words[0].startswith("/"):
        return f"its shebang's program {words[0]!r} is not a whole path"
    if os.access(words[0], os.X_OK) and not os.path.isdir(words[0]):
        return None
    why = "cannot be executed" if os.path.exists(words[0]) else "does not exist on this host"
    return f"its shebang's program {words[0]!r} {why}"


def _strangers(text: bytes) -> tuple[str, ...]:
    """One warning per command, at its first use outside comments. It does not understand quotes: it warns, and forbids nothing."""
    if not any(name in text for name in _STRANGER_NAMES):  # Nearly all jobfiles, at a tenth of the search's cost.
        return ()
    found: dict[str, int] = {}
    for match in _STRANGER.finditer(text):
        command = match[1].decode()
        before = text[text.rfind(b"\n", 0, match.start()) + 1 : match.start()]
        if command not in found and not _COMMENT.search(before):
            found[command] = text.count(b"\n", 0, match.start()) + 1
    return tuple(f"line {line}: {command}: {_STRANGERS[command]}" for command, line in found.items())
