"""What a supervisor does to its server: find or start it, start it again when it has died, stop it."""

import logging
import os
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import redis
from redis.exceptions import BusyLoadingError, RedisError

from broker import address as addresses
from broker import epoch as epochs
from broker.address import Address, interfaces, read_address, write_address
from broker.binary import find_server
from broker.client import Endpoint, answering, connect
from broker.errors import BrokerError, Unreachable
from broker.home import Home
from broker.secret import password
from broker.server import ServerConf, ServerProcess, choose_port, last_words, most_clients, start, usable_socket
from broker.settings import ServerSettings

log = logging.getLogger(__name__)

#: A server that does not even say that it is loading after this long has failed to start.
_START_S = 20.0
#: The pauses between attempts to start a server that keeps dying.
_PAUSE_S = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
#: A clean end writes the AOF's last bytes, to a filesystem that may be slow.
_STOP_S = 60.0
#: A server that lived this long had started well.
_SETTLED_S = 60.0


class Minder:
    """The server of one home, as its supervisor sees it."""

    def __init__(
        self, home: Home, settings: ServerSettings, *, environ: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._home = home
        self._settings = settings
        self._environ = environ
        self._clock = clock
        self._client: redis.Redis | None = None
        self._deaths = 0
        self._started_at = 0.0
        self._next_start = 0.0
        #: The server's process on this host; None: it is external, or on another host.
        self.process: ServerProcess | None = None
        self.address: Address | None = None

    @property
    def owns_server(self) -> bool:
        """Whether the server's process is ours to start and stop."""
        return self.process is not None

    @property
    def epoch(self) -> int:
        """The epoch of the server's data; 0 for an external server."""
        return 0 if self.address is None else self.address.epoch

    def begin(self, still_at: int | None) -> Address:
        """Find the server, or start it; returns its address, which stands in the address file by then.

        `still_at` is the heartbeat's counter that the caller saw stand still (epoch.NO_HEARTBEAT: no file), None if it did not look:
        without it nothing is taken over from another host. Raises BrokerError, OSError.
        """
        known = read_address(self._home)
        if known is not None and known.url:
            return self._write(replace(known, host=addresses.this_host(), supervisor_pid=os.getpid()))
        newest = epochs.newest(self._home)
        if known is not None and known.epoch == newest:
            if known.host == addresses.this_host() and epochs.is_complete(self._home, newest):
                return self._adopt_or_start(known)
            if not known.is_stopped and self._answers(known):
                # It lives on its own host, only its supervisor is gone: it is minded from here, but can be restarted only there.
                self.address = known
                return known
        return self._begin_epoch(known, epochs.counter(self._home) if newest == 0 else still_at)

    def _begin_epoch(self, known: Address | None, still_at: int | None) -> Address:
        if still_at is None:
            raise Unreachable(
                f"the broker's data in {self._home.root} was last used on {known.host if known else 'an unknown host'}, "
                "and nobody has watched whether it lives on there: nunatak broker start"
            )
        self._stop_orphans()
        return self._start(epochs.begin(self._home, still_at), known)

    def _stop_orphans(self) -> None:
        """A server of an earlier epoch that lives on here without a supervisor refuses every verb, and would do so for ever."""
        for number in epochs.epochs(self._home):
            orphan = ServerProcess.found(self._home.epoch_dir(number))
            if orphan is not None:
                log.warning("server.orphan_stopped pid=%d epoch=%d", orphan.pid, number)
                orphan.end(_STOP_S)

    def _answers(self, address: Address) -> bool:
        try:
            self._client = answering(self._home, address, 10.0)[1]
        except Unreachable:
            return False
        return True

    def _adopt_or_start(self, known: Address) -> Address:
        running = ServerProcess.found(self._home.epoch_dir(known.epoch))
        if running is None:
            return self._start(known.epoch, known)
        self.process = running
        self._started_at = self._clock()
        log.info("server.adopted pid=%d", running.pid)
        return self._write(replace(known, server_pid=running.pid, supervisor_pid=os.getpid(), is_wanted=False))

    def _start(self, epoch: int, known: Address | None) -> Address:
        """Start the server on the epoch's data, on the port it is known by if that is free."""
        binary = find_server(self._environ, self._environ.get("PATH", os.defpath))
        # Who restarts a dead server must not shut out the hosts that used it; who starts a stopped one decides anew.
        bind = "all" if known is not None and not known.is_stopped and known.is_for_all_hosts else self._settings.bind
        conf = ServerConf(
            directory=self._home.epoch_dir(epoch),
            socket=usable_socket(self._home.socket_file),
            port=choose_port(known.port if known else 0, bind),
            bind=bind,
            fsync=self._settings.fsync,
            password=password(self._home, create=True),
            maxclients=most_clients(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
            log_file=self._home.server_log,
            version=binary.version,
        )
        self._drop_client()
        self.process = start(binary, conf)
        self._started_at = self._clock()
        address = self._write(Address(
            epoch=epoch,
            hosts=interfaces() if conf.bind == "all" else ("127.0.0.1",),
            port=conf.port,
            socket=str(conf.socket or ""),
            host=addresses.this_host(),
            server_pid=self.process.pid,
            supervisor_pid=os.getpid(),
            started_at=time.time(),
        ))
        self._wait_up(self.process, conf)
        return address

    def _wait_up(self, server: ServerProcess, conf: ServerConf) -> None:
        """Wait until it says anything, if only that it is loading; raises BrokerError with its last words."""
        client = connect(Endpoint(host="127.0.0.1", port=conf.port, socket=str(conf.socket or ""), password=conf.password), 2.0)
        end = self._clock() + _START_S
        while server.is_alive:
            try:
                client.ping()
            except BusyLoadingError:
                return
            except (RedisError, OSError) as error:
                if self._clock() > end:
                    raise BrokerError(f"the server (pid {server.pid}) does not answer after {_START_S:g} s: {error}") from error
                time.sleep(0.02)
            else:
                return
            finally:
                client.close()
        raise BrokerError(
            f"the server ended at once (exit {server.how_it_ended}); its log {conf.log_file} ends with:\n{last_words(conf.log_file)}"
        )

    def _write(self, address: Address) -> Address:
        write_address(self._home, address)
        self.address = address
        return address

    # -- while it runs --------------------------------------------------------------------------------------------------------------

    @property
    def client(self) -> "redis.Redis":
        """The supervisor's one connection, opened anew after an error; raises Unreachable."""
        if self._client is None:
            # Where the server is on another host, or somebody else's, its address may have changed meanwhile.
            address = self.address if self.owns_server else read_address(self._home)
            if address is None:
                raise Unreachable(f"{self._home.address_file} is gone")
            self._client = answering(self._home, address, 10.0)[1]
        return self._client

    def _drop_client(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def lost_contact(self) -> None:
        """The connection failed: open another one next time."""
        self._drop_client()

    @property
    def is_server_dead(self) -> bool:
        """Whether a server that is ours to start does not run."""
        return self.process is not None and not self.process.is_alive

    def restart(self) -> bool:
        """Start the dead server again, with growing pauses while it keeps dying; whether it was started. Raises BrokerError, OSError."""
        server, address = self.process, self.address
        if server is None or address is None or self._clock() < self._next_start:
            return False
        log.error("server.died pid=%d exit=%s last_words=%s", server.pid, server.how_it_ended, last_words(self._home.server_log, 2))
        if self._clock() - self._started_at > _SETTLED_S:
            self._deaths = 0
        self._deaths = min(self._deaths + 1, len(_PAUSE_S) - 1)
        self._next_start = self._clock() + _PAUSE_S[self._deaths]
        self._start(address.epoch, address)
        return True

    def is_superseded(self) -> bool:
        """Whether a later broker of this home exists, on another host or elsewhere: ours must end."""
        ours = self.address
        if ours is None:
            return False
        if not ours.url and epochs.newest(self._home) > ours.epoch:
            return True
        if self.owns_server:
            return False
        now = read_address(self._home)
        return now is not None and (now.is_stopped or (now.epoch, now.url) != (ours.epoch, ours.url))

    # -- its end --------------------------------------------------------------------------------------------------------------------

    def stop(self, kill: bool) -> bool:
        """Stop the server, if it is ours to stop, in the end by force if `kill`; whether it is gone."""
        self._drop_client()
        if self.process is None:
            return True
        gone = self.process.end(_STOP_S) if kill else self.process.stop(_STOP_S)
        log.info("server.stopped pid=%d gone=%s", self.process.pid, gone)
        return gone

    def write_stopped(self, *, wanted: bool) -> None:
        """Say in the address file that nothing runs any more; any host may begin at once, and `tick` does if it is wanted."""
        if self.address is not None and self.owns_server:
            self._write(replace(self.address, server_pid=0, supervisor_pid=0, is_wanted=wanted))
