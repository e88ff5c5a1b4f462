"""Starting the broker, or finding the one that runs: what a command does before it uses it."""

import enum
import json
import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from broker import address as addresses
from broker import epoch as epochs
from broker import errors, keys, process
from broker.address import Address, read_address, write_address
from broker.client import answering, connect, external_endpoint
from broker.errors import BrokerBusy, BrokerError, NoServer, Unreachable
from broker.heartbeat import BadHeartbeat
from broker.home import Home
from broker.lock import SUPERVISOR
from broker.plan import Plan, Word
from broker.private import open_log
from broker.scripts import translated
from broker.secret import password
from broker.server import last_words
from broker.settings import LeaseSettings, ServerSettings
from broker.status import BrokerStatus, broker_status
from broker.stop import stop_broker, stop_here

__all__ = ["BrokerStatus", "broker_status", "ensure_broker", "stop_broker"]

log = logging.getLogger(__name__)

#: LEASES rule 9: a broker on another host is dead only after its heartbeat stood still for this many times the time that a beat stays
#: fresh: 200 s of 60 s. That is more than a worker needs to prove the same (broker/stillness.py).
_STILL_TIMES = 10 / 3
#: A supervisor that copies a large AOF first takes its time.
_SPAWN_S = 300.0
_LOOK_TIMEOUT_S = 3.0


class Answer(enum.Enum):
    """What a broker said when it was asked."""

    #: Nothing, or not with our password, or it is loading.
    NONE = "none"
    #: It is there, but nobody has beaten lately: it has no supervisor, or one that cannot write the heartbeat file.
    STALE = "stale"
    #: It is there and somebody minds it.
    FRESH = "fresh"


class Step(enum.Enum):
    """What to do next."""

    #: It runs: use it.
    ADOPT = "adopt"
    #: Its supervisor is there and not ready yet.
    WAIT = "wait"
    #: Start a supervisor, which finds out what it has to do.
    SUPERVISE = "supervise"
    #: Move the broker here at once: it was stopped in good order where it was.
    MOVE = "move"
    #: It may live on another host: watch its heartbeat first.
    WATCH = "watch"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a decision depends on."""

    address: Address | None
    answer: Answer
    #: Why there was no answer.
    words: str
    host: str
    #: The last epoch that anybody began; whether its data is all there.
    newest: int
    complete: bool
    #: The supervisor of the address file runs on this host.
    supervisor_lives: bool

    @property
    def is_here(self) -> bool:
        return self.address is not None and self.address.host == self.host


def decide(seen: Seen) -> Step:
    """The next step towards a broker."""
    address = seen.address
    if address is None:
        return Step.SUPERVISE if seen.newest == 0 else Step.WATCH
    if seen.answer is Answer.FRESH and (not seen.is_here or seen.supervisor_lives):
        return Step.ADOPT
    if seen.is_here and seen.supervisor_lives:
        return Step.WAIT
    if address.url:
        return Step.SUPERVISE
    return _decide_without_supervisor(seen, address)


def _decide_without_supervisor(seen: Seen, address: Address) -> Step:
    if seen.newest != address.epoch:
        return Step.WATCH  # somebody began an epoch and has not come up yet, or died over it
    if seen.answer is not Answer.NONE:
        return Step.SUPERVISE
    if seen.is_here and seen.complete:
        return Step.SUPERVISE
    return Step.MOVE if address.is_stopped else Step.WATCH


def ensure_broker(
    home: Home, server_settings: ServerSettings, lease_settings: LeaseSettings, *,
    timeout_s: float = 60.0, still_s: float | None = None, sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic, notice: Callable[[str], None] | None = None,
) -> Address:
    """The address of the living broker of this home; starts server or supervisor if they are missing.

    Returns once a beat is in the server. `notice` is told, in words for the user, why it takes long; `still_s` is for tests. Raises
    NoServer, Unreachable (it lives elsewhere and cannot be reached, or does not come up), BrokerError.
    """
    home.create()
    _agree_on_server(home, server_settings)
    end = clock() + timeout_s
    watched = False
    still_s = lease_settings.beat_fresh_s * _STILL_TIMES if still_s is None else still_s
    while True:
        seen = _see(home)
        step = decide(seen)
        if step is Step.ADOPT and seen.address is not None:
            if server_settings.bind == "loopback" or not seen.is_here or seen.address.is_for_all_hosts:
                return seen.address
            # It was started for this machine only. Nobody minds a broker that is away for a second.
            log.info("broker.widened pid=%d", seen.address.server_pid)
            stop_here(home, seen.address)
            continue
        if clock() > end or (watched and step is Step.WATCH):
            raise Unreachable(f"the broker did not come up within {timeout_s:g} s: {_why(home, seen)}")
        if step is Step.WAIT:
            sleep(0.05)
            continue
        still_at = None
        if step is Step.WATCH:
            still_at = _watch(home, seen, still_s, sleep, clock, notice or _log_notice)
            end, watched = clock() + timeout_s, True
        elif step is Step.MOVE:
            still_at = _counter(home)
        word = _spawn(Plan(home=home, server=server_settings, lease=lease_settings, still_at=still_at))
        if word is Word.BUSY:
            sleep(0.1)  # another command was first; its supervisor writes the address in a moment


def _agree_on_server(home: Home, settings: ServerSettings) -> None:
    """See that the address file speaks of the kind of server that the settings want."""
    address = read_address(home)
    if not settings.url:
        if address is not None and address.url:
            raise BrokerBusy(f"home {home.root} uses an external server, but the settings name none: nunatak broker stop, then try again")
        password(home, create=True)
    elif address is None or address.is_stopped:
        _check_external(home, settings.url)
        write_address(home, _external(settings.url))
    elif address.url != settings.url:
        raise BrokerBusy(f"home {home.root} uses another server at present: nunatak broker stop, then try again")


def _external(url: str) -> Address:
    return Address(
        epoch=0, hosts=(), port=0, socket="", host=addresses.this_host(), server_pid=0, supervisor_pid=0, started_at=time.time(), url=url
    )


def _check_external(home: Home, url: str) -> None:
    """Raises Unreachable, or NoServer if it cannot do what we need."""
    client: Any = connect(external_endpoint(home, url))
    with translated():
        info = client.info()
    client.close()
    version = str(info["redis_version"])
    if tuple(int(n) for n in version.split(".")[:2]) < (6, 2):
        raise NoServer(f"the external server is version {version}, 6.2 or newer is needed: leave `url` empty to use our own")
    if info.get("maxmemory") and info.get("maxmemory_policy") != "noeviction":
        raise NoServer(f"the external server throws data away at its memory limit (maxmemory-policy {info.get('maxmemory_policy')}): "
                       "set it to noeviction, or leave `url` empty to use our own")
    if not info.get("aof_enabled"):
        log.warning("server.external_without_aof remedy='set appendonly yes and appendfsync always, or its restart loses jobfiles'")


# -- seeing -----------------------------------------------------------------------------------------------------------------------------


def _see(home: Home) -> Seen:
    address = read_address(home)
    answer, words = (Answer.NONE, "none was ever started") if address is None else ask(home, address)
    host, newest = addresses.this_host(), epochs.newest(home)
    return Seen(
        address=address, answer=answer, words=words, host=host, newest=newest, complete=epochs.is_complete(home, newest),
        supervisor_lives=address is not None and address.host == host and process.is_running(address.supervisor_pid, SUPERVISOR),
    )


def ask(home: Home, address: Address) -> tuple[Answer, str]:
    """Whether the broker answers and has had a fresh beat in its present life, and why not."""
    if address.is_stopped:
        return Answer.NONE, f"it was stopped on {address.host}"
    try:
        client: Any = answering(home, address, _LOOK_TIMEOUT_S)[1]
    except Unreachable as error:
        return Answer.NONE, str(error)
    try:
        with translated():
            beat = client.hgetall(keys.BEAT)
            seconds, run_id = client.time()[0], client.info("server")["run_id"]
    except Unreachable as error:
        return Answer.NONE, str(error)
    finally:
        client.close()
    age_ms = int(seconds) * 1000 - int(beat.get("at", 0))
    # The clock above is cut to whole seconds.
    if beat.get("run_id") != run_id or not -1000 <= age_ms < int(beat["fresh_ms"]):
        return Answer.STALE, "it answers, but its supervisor has not beaten lately"
    return Answer.FRESH, ""


def _why(home: Home, seen: Seen) -> str:
    return f"{seen.words}; its supervisor's log {home.supervisor_log} ends with:\n{last_words(home.supervisor_log)}"


def _log_notice(text: str) -> None:
    log.warning("broker.waiting why=%r", text)


def _watch(
    home: Home, seen: Seen, still_s: float, sleep: Callable[[float], None], clock: Callable[[], float], notice: Callable[[str], None]
) -> int:
    """Watch the heartbeat stand still; returns the counter that it stood at. Raises Unreachable when it moves, or cannot be read."""
    host = seen.address.host if seen.address else "an unknown host"
    first = _counter(home)
    notice(f"the broker was last on {host} and does not answer; watching for {still_s:g} s whether its heartbeat still moves")
    end = clock() + still_s
    while clock() < end:
        sleep(min(5.0, still_s / 4))
        if _counter(home) != first:
            raise Unreachable(
                f"the broker lives on {host} (its heartbeat moves) but cannot be used from {seen.host}: {seen.words}. "
                f"Work on {host}; or stop it there (nunatak broker stop) and start it here; or there: nunatak broker start --bind all"
            )
    return first


def _counter(home: Home) -> int:
    try:
        return epochs.counter(home)
    except (OSError, BadHeartbeat) as error:
        raise Unreachable(f"the heartbeat {home.heartbeat_file} cannot be read ({error}): is its filesystem well?") from error


# -- the supervisor ---------------------------------------------------------------------------------------------------------------------


def _spawn(plan: Plan) -> Word:
    """Start a supervisor that outlives us; returns how its start went, raises what it was refused for."""
    with open_log(plan.home.supervisor_log) as output:
        # It forks once more: the child that we wait for is gone before the line below is read.
        child = subprocess.Popen(
            [sys.executable, "-I", "-m", SUPERVISOR, plan.to_json()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output,
            cwd="/", start_new_session=True, umask=0o077,
        )
    assert child.stdout is not None
    with child.stdout as pipe:
        line = _read_line(pipe.fileno(), _SPAWN_S)
    child.wait()
    if not line:
        log_file = plan.home.supervisor_log
        raise Unreachable(f"the supervisor ended without a word; {log_file} ends with:\n{last_words(log_file)}")
    said = json.loads(line)
    word = Word(said["word"])
    if word is Word.REFUSED:
        raise getattr(errors, said["error"], BrokerError)(said["text"])
    if word is Word.FAILED:
        raise BrokerError(f"the supervisor failed: {said['text']}; see {plan.home.supervisor_log}")
    return word


def _read_line(fd: int, timeout_s: float) -> bytes:
    """What comes until the line or the pipe ends."""
    data, end = b"", time.monotonic() + timeout_s
    while not data.endswith(b"\n"):
        if not select.select([fd], [], [], max(0.0, end - time.monotonic()))[0]:
            raise Unreachable(f"the supervisor has not come up within {timeout_s:g} s, it may still do so: nunatak broker status")
        more = os.read(fd, 4096)
        if not more:
            break
        data += more
    return data
