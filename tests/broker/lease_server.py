"""One server for many schedules: emptied in between, read as a whole, killed and restarted at will."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from servers import Server, temporary_home

from broker.scripts import translated

#: Schedules per append-only file, or each restart would take longer than the one before.
WIPES_PER_FILE = 20

#: Every key with its type and contents, in one round trip; a stream is shown by its length.
_DUMP = """
local out = {}
local read = {hash = {'HGETALL'}, list = {'LRANGE', 0, -1}, zset = {'ZRANGE', 0, -1, 'WITHSCORES'}, set = {'SMEMBERS'}, string = {'GET'},
  stream = {'XLEN'}}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  local how = read[kind]
  out[#out + 1] = {key, kind, redis.call(how[1], key, unpack(how, 2))}
end
return out
"""


def _value(kind: str, content: Any) -> Any:
    if kind == "hash":
        return dict(zip(content[::2], content[1::2], strict=True))
    if kind == "zset":
        return {member: float(score) for member, score in zip(content[::2], content[1::2], strict=True)}
    return sorted(content) if kind == "set" else content


class LeaseServer:
    """A server of the tests' own, with the production conf: append-only file, synced at every write."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._wipes = 0
        server.start()
        self.client = server.client()

    def restart(self) -> None:
        """SIGKILL and start, as after a crash."""
        self._server.kill9()
        self.client.close()
        self._server.start()

    def dump(self) -> dict[str, Any]:
        """Everything in the server."""
        with translated():
            return {key: _value(kind, content) for key, kind, content in self.client.eval(_DUMP, 0)}

    def wipe(self) -> None:
        """Empty it; now and then its append-only file too."""
        self._wipes += 1
        if self._wipes % WIPES_PER_FILE:
            self.client.flushall()
            return
        self._server.kill9()
        self.client.close()
        shutil.rmtree(self._server.directory / "appendonlydir")
        self._server.start()


@contextmanager
def lease_server() -> Iterator[LeaseServer]:
    with temporary_home() as home:
        server = Server(home)
        try:
            yield LeaseServer(server)
        finally:
            server.close()
