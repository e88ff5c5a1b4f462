"""Several commands to the server in one packet, and their answers: one wait for the wire, and one for the server's disk.

redis-py's own packing of a command took longer than the server needed for the script (benchmarks/README.md).
"""

from collections.abc import Sequence
from typing import Any

import redis
from redis import exceptions

Command = Sequence[object]


def pack(command: Command) -> bytes:
    """A command as the protocol has it; text may carry bytes that are no UTF-8, as surrogates."""
    parts = [b"*%d\r\n" % len(command)]
    for word in command:
        value = word if isinstance(word, bytes) else str(word).encode(errors="surrogateescape")
        parts += (b"$%d\r\n" % len(value), value, b"\r\n")
    return b"".join(parts)


def exchange(client: "redis.Redis", commands: Sequence[Command]) -> list[Any]:
    """The answers, in order; the server's own errors are among them as values. Raises what redis-py raises of a connection."""
    pool = client.connection_pool
    connection: Any = pool.get_connection()
    try:
        connection.send_packed_command([b"".join(map(pack, commands))], check_health=False)
        return [_answer(connection) for _ in commands]
    finally:
        pool.release(connection)


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except exceptions.ResponseError as error:
        return error
