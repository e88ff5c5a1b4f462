"""Connections to the broker: whichever of its addresses answers with our password."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from broker import address as addresses
from broker.address import Address, read_address
from broker.errors import BrokerError, Unreachable
from broker.home import Home
from broker.secret import password

log = logging.getLogger(__name__)

#: A network that drops what is sent to it must not hold up the others for long.
_CONNECT_S = 3.0


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where and how a server is reached; a unix socket if `socket` is not empty."""

    host: str
    port: int
    password: str
    socket: str = ""
    username: str = ""
    db: int = 0
    tls: bool = False

    def __str__(self) -> str:
        return self.socket or f"{self.host}:{self.port}"


def connect(endpoint: Endpoint, timeout_s: float = 10.0) -> "redis.Redis":
    """A client that never repeats a command by itself (LEASES rule 1); nothing is sent yet."""
    options: dict[str, Any] = {
        "username": endpoint.username or None,
        "password": endpoint.password or None,
        "db": endpoint.db,
        "socket_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": True,
        # Names of files need not be UTF-8.
        "encoding_errors": "surrogateescape",
    }
    if endpoint.socket:
        return redis.Redis(unix_socket_path=endpoint.socket, **options)
    return redis.Redis(
        host=endpoint.host, port=endpoint.port, ssl=endpoint.tls,
        socket_connect_timeout=min(timeout_s, _CONNECT_S), socket_keepalive=True, **options,
    )


def open_client(home: Home, *, timeout_s: float = 10.0) -> "redis.Redis":
    """A client of the broker as the address file has it now; raises Unreachable, which names every address tried."""
    return answering(home, _address(home), timeout_s)[1]


def answering_endpoint(home: Home, *, timeout_s: float = 10.0) -> Endpoint:
    """The TCP endpoint that answers; raises Unreachable."""
    endpoint, client = answering(home, _address(home), timeout_s, tcp_only=True)
    client.close()
    return endpoint


def _address(home: Home) -> Address:
    address = read_address(home)
    if address is None:
        raise Unreachable(f"no broker was started with home {home.root} yet: nunatak broker start")
    if address.is_stopped:
        raise Unreachable(f"the broker of {home.root} is stopped (it was last on {address.host}): nunatak broker start")
    return address


def answering(home: Home, address: Address, timeout_s: float, *, tcp_only: bool = False) -> tuple[Endpoint, "redis.Redis"]:
    """The first endpoint of `address` that answers, and a client of it."""
    tried: list[str] = []
    for endpoint in endpoints(home, address, addresses.this_host()):
        if tcp_only and endpoint.socket:
            continue
        client = connect(endpoint, timeout_s)
        try:
            client.ping()
        except (RedisError, OSError) as error:
            client.close()
            tried.append(f"{endpoint}: {error}")
        else:
            log.debug("client.connected endpoint=%s", endpoint)
            return endpoint, client
    raise Unreachable(_unreachable(address, addresses.this_host(), tried))


def endpoints(home: Home, address: Address, host: str) -> Iterator[Endpoint]:
    """Everything to try from `host`, the likeliest first; what needs no connection is not read before it is needed."""
    if address.url:
        yield external_endpoint(home, address.url)
        return
    try:
        secret = password(home, create=False)
    except BrokerError as error:
        raise Unreachable(str(error)) from error
    # The path may mean another host's socket, or nothing, where /tmp is not this host's own.
    if address.socket and address.host == host and os.path.exists(address.socket):
        yield Endpoint(host="", port=0, socket=address.socket, password=secret)
    for candidate in addresses.candidates(address, host):
        yield Endpoint(host=candidate, port=address.port, password=secret)


def external_endpoint(home: Home, url: str) -> Endpoint:
    """An external server's endpoint; a URL without a password uses the home's, if there is one. Raises BrokerError for a URL of no use."""
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
        db = int(parts.path.strip("/") or 0)
    except ValueError:
        # Its text, and the URL's, may hold a piece of the password.
        raise BrokerError(
            "the server's URL cannot be understood: use redis://:PASSWORD@HOST:PORT/0, with %XX for special characters in the password"
        ) from None
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise BrokerError(f"the server's URL begins with {parts.scheme!r}: use redis://:PASSWORD@HOST:PORT/0, or rediss:// for TLS")
    secret = unquote(parts.password or "")
    if not secret and home.password_file.exists():
        secret = password(home, create=False)
    return Endpoint(
        host=parts.hostname, port=port, password=secret, username=unquote(parts.username or ""), db=db, tls=parts.scheme == "rediss"
    )


def _unreachable(address: Address, host: str, tried: list[str]) -> str:
    if not tried:
        return (
            f"the broker runs on {address.host} and listens on that machine only: use it there, "
            f"or stop it there and start it for all hosts (bind = \"all\"): nunatak broker start --bind all"
        )
    words = f"the broker does not answer; tried from {host}: " + "; ".join(tried)
    if address.url:
        return words + ". It is an external server: see to it, then try again"
    return words + f". It was last seen on {address.host}: `nunatak broker start` starts it again"
