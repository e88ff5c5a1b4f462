"""kombu's Redis transport, with leases for the job queue in place of BRPOP and the visibility timeout.

Only the queue `jobfiles` is leased; remote control, replies and events keep the stock path. What is overridden are internals of kombu:
pyproject.toml pins the version, tests/broker/test_kombu_internals.py fails when they change.

Why stock kombu will not do (measured with 5.7; docs/decisions.md): BRPOP loses what it pops when the worker dies in that moment; a task
longer than the visibility timeout is run twice; a reset connection starts a second copy within 0.1 s; half of the broker's restarts end
a busy worker.
"""

import logging
from pathlib import Path
from queue import Empty
from time import monotonic
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, virtual
from kombu.transport import redis as stock
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from broker import keys
from broker.claim import Claim, text
from broker.client import answering_endpoint
from broker.errors import Unreachable
from broker.holding import Asker, boottime
from broker.holdings import Holdings
from broker.home import Home
from broker.lease import Holder, Room, claim_arguments
from broker.message import celery_message
from broker.packet import pack
from broker.scripts import Scripts, translated

log = logging.getLogger(__name__)

#: How long an idle worker waits for the bell before it looks again by itself.
BELL_S = 20
#: How long after the broker refused a claim (STALE, LOADING, …) it is asked again.
REFUSED_S = 5.0


class QoS(stock.QoS):  # type: ignore[misc]
    """Acknowledgements of leased messages go to the holdings, where the renewer settles them; all others are kombu's."""

    # A connection's end says nothing about what runs: the leases do.
    restore_at_shutdown = False

    def can_consume(self) -> bool:
        if self.channel.is_leased:
            return bool(self.channel.holdings.may_claim())
        return bool(super().can_consume())

    def append(self, message: Any, delivery_tag: str) -> None:
        if self.channel.holds(delivery_tag):
            # Not into `unacked`: a stock client would restore it from there.
            virtual.QoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        if self.channel.holds(delivery_tag):
            self.channel.holdings.acknowledge(delivery_tag)
            virtual.QoS.ack(self, delivery_tag)
        else:
            super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        if self.channel.holds(delivery_tag):
            self.channel.holdings.reject(delivery_tag, requeue)
            virtual.QoS.ack(self, delivery_tag)
        else:
            super().reject(delivery_tag, requeue)

    def restore_unacked(self, client: Any = None) -> None:  # noqa: ARG002  (kombu's signature)
        self._delivered.clear()

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """The supervisor reaps; nobody else takes anything back."""


class Channel(stock.Channel):  # type: ignore[misc]
    """A channel that claims when it consumes from the job queue."""

    QoS = QoS

    def __init__(self, connection: Any, **kwargs: Any) -> None:
        # Kept here, because Celery acknowledges on the channel that delivered also when its connection is long gone.
        self._options: dict[str, Any] = connection.client.transport_options
        self._asked: str | None = None
        self._asked_at = 0.0
        self._look_again = True
        self._shared: Any = None
        super().__init__(connection, **kwargs)

    @property
    def holdings(self) -> Holdings:
        holdings: Holdings = self._options["holdings"]
        return holdings

    @property
    def is_leased(self) -> bool:
        return keys.QUEUE in self._active_queues

    def holds(self, delivery_tag: str) -> bool:
        return "holdings" in self._options and self.holdings.holds(delivery_tag)

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        """The address is read anew for each connection: the broker may have moved. The password stands in no URL."""
        params: dict[str, Any] = super()._connparams(asynchronous)
        home = self._options.get("home")
        if home is not None:
            endpoint = answering_endpoint(Home(Path(home)))
            params.update(host=endpoint.host, port=endpoint.port, password=endpoint.password)
        # redis-py 8.1 was seen to execute one late claim twice when it retries by itself.
        params.update(retry=Retry(NoBackoff(), 0), retry_on_timeout=False)
        return params

    def _create_client(self, asynchronous: bool = False) -> Any:
        """Stock makes a client for each message it sends, which was a sixth of a busy worker's time; clients of one pool may be shared."""
        if asynchronous:
            return super()._create_client(asynchronous=True)
        if self._shared is None or self._shared.connection_pool is not self.pool:
            self._shared = super()._create_client()
        return self._shared

    # -- consuming ------------------------------------------------------------------------------------------------------------------

    def basic_consume(self, queue: str, *args: Any, **kwargs: Any) -> Any:
        if queue == keys.QUEUE:
            # How long an answer may be overdue before kombu drops the connection as half-open.
            self.brpop_timeout = BELL_S
        return super().basic_consume(queue, *args, **kwargs)

    def _brpop_start(self, timeout: float | None = None) -> None:
        if not self.is_leased:
            super()._brpop_start(timeout)
            return
        if self.holdings.adopted:
            self._hand_on(self.holdings.adopted.popleft())
            return
        if not self._look_again:
            self._ask("bell", "BLPOP", keys.BELL, BELL_S)
        elif (room := self.holdings.ask(Asker.LOOP)) is not None:
            self._ask("claim", "EVALSHA", *self._claim_command(room))

    def _ask(self, what: str, *command: Any) -> None:
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        self._asked, self._asked_at = what, boottime()
        self.client.connection.send_packed_command([pack(command)])

    def _claim_command(self, room: Room) -> list[Any]:
        holder: Holder = self._options["holder"]
        scripts = self._scripts()
        arguments = claim_arguments(self.holdings.token, holder, room)
        return [scripts.sha("claim"), 0, *scripts.arguments(*arguments)]

    def _scripts(self) -> Scripts:
        if "_claim_scripts" not in self.__dict__:
            self._claim_scripts = Scripts(self._create_client())
        return self._claim_scripts

    def _brpop_read(self, **options: Any) -> bool:
        if self._asked is None:
            return bool(super()._brpop_read(**options))
        asked, self._asked = self._asked, None
        try:
            reply = self._read(**options)
            if asked == "claim" and self._answered(reply):
                return True
        finally:
            # Not before the answer has changed the token.
            self.holdings.asked(Asker.LOOP)
        self._look_again = self._look_again or asked == "bell"
        raise Empty

    def _read(self, **options: Any) -> Any:
        try:
            return self.client.parse_response(self.client.connection, "", **options)
        except exceptions.ResponseError as error:
            self._refused(error)
            raise Empty from error
        except self.connection_errors:
            self._look_again = True
            self.client.connection.disconnect()
            raise
        finally:
            self._in_poll = None

    def _answered(self, reply: list[Any]) -> bool:
        claim = self.holdings.answer(reply, self._asked_at)
        if claim is not None:
            self._hand_on(claim)
            return True
        self._look_again = text(reply[0]) not in ("empty", "drain", "bad")
        return False

    def _refused(self, error: exceptions.ResponseError) -> None:
        """The server's own errors mean "cannot reach", never "lost" (LEASES rule 5)."""
        self._look_again = True
        if isinstance(error, exceptions.NoScriptError):
            self.__dict__.pop("_claim_scripts", None)
            return
        log.warning("transport.claim_refused error=%s", error)
        self.holdings.nothing_fits(REFUSED_S)

    def _hand_on(self, claim: Claim) -> None:
        self.connection._deliver(celery_message(claim), keys.QUEUE)

    def _get(self, queue: str) -> Any:
        if queue == keys.QUEUE:
            raise Empty
        return super()._get(queue)

    # -- publishing and managing ----------------------------------------------------------------------------------------------------

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        """Jobfiles come in by `enqueue-jobfiles` only; a task that somebody sends here is kept for a person, and never run."""
        if queue != keys.QUEUE:
            super()._put(queue, message, **kwargs)
            return
        task = message.get("headers", {}).get("task")
        log.error("transport.rejected task=%s remedy=enqueue-jobfiles", task)
        with self.conn_or_acquire() as client:
            client.lpush(keys.REJECTED, stock.dumps(message))
            client.ltrim(keys.REJECTED, 0, 999)

    def _size(self, queue: str) -> int:
        """How many jobfiles wait."""
        if queue != keys.QUEUE:
            return int(super()._size(queue))
        with self.conn_or_acquire() as client, translated():
            numbers = client.hvals(keys.CAMPAIGNS)
            return sum(int(client.hget(keys.counts(text(n)), "queued") or 0) for n in numbers)

    def _has_queue(self, queue: str, **kwargs: Any) -> bool:
        return queue == keys.QUEUE or bool(super()._has_queue(queue, **kwargs))

    def _purge(self, queue: str) -> int:
        """`celery purge` empties no job queue; `nunatak cancel` does."""
        return 0 if queue == keys.QUEUE else int(super()._purge(queue))

    def _delete(self, queue: str, *args: Any, **kwargs: Any) -> None:
        if queue != keys.QUEUE:
            super()._delete(queue, *args, **kwargs)

    def close(self) -> None:
        # Stock close() waits here for BRPOP's answer and lets its errors out, which ends the worker. Nothing is lost in a bell; a claim
        # whose answer is not read is asked for again with the same token.
        if self._in_poll and self._asked is not None:
            connection, self._in_poll, self._asked = self._in_poll, None, None
            connection.disconnect()
            self.holdings.asked(Asker.LOOP)
        super().close()


class Transport(stock.Transport):  # type: ignore[misc]
    """The transport behind `redis://` URLs in our processes."""

    Channel = Channel
    connection_errors = (*stock.Transport.connection_errors, Unreachable)

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        super().register_with_event_loop(connection, loop)
        holdings: Holdings | None = connection.client.transport_options.get("holdings")
        if holdings is not None:
            loop.add_reader(holdings.wake_fd, self._woken, holdings)

    def _woken(self, holdings: Holdings) -> None:
        """Hand on what the renewer was given, also while a channel waits for the bell."""
        holdings.drain_wakes()
        while holdings.adopted and keys.QUEUE in self._callbacks:
            self._deliver(celery_message(holdings.adopted.popleft()), keys.QUEUE)


def install() -> None:
    """Make `redis://` mean this transport in this process (Flower knows no other scheme)."""
    TRANSPORT_ALIASES["redis"] = "broker.transport:Transport"
