"""Where the broker is: the address file, which every client reads anew at each connect, because the broker may move."""

import fcntl
import json
import os
import socket
import struct
from dataclasses import asdict, dataclass
from pathlib import Path

from broker.errors import Unreachable
from broker.home import Home
from broker.private import write_private

_SIOCGIFADDR = 0x8915
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Address:
    """One start of the broker, as it is found in the address file."""

    #: Counts the hosts that the broker has lived on; its data is in `Home.epoch_dir(epoch)`. 0: an external server.
    epoch: int
    #: Addresses to try, the network's first; only loopback if the server is bound to it.
    hosts: tuple[str, ...]
    port: int
    #: The unix socket's path, good on `host` only; empty if there is none.
    socket: str
    #: Name of the host where server and supervisor run.
    host: str
    #: 0: the server was stopped in good order.
    server_pid: int
    supervisor_pid: int
    #: Unix seconds.
    started_at: float
    #: An external server's URL, which may hold a password; empty: our own server.
    url: str = ""
    #: It was stopped because its host let it go (a signal, the end of its batch job) and not by its user: `tick` starts it again.
    is_wanted: bool = False

    @property
    def is_stopped(self) -> bool:
        """Stopped in good order: nothing of it runs anywhere."""
        return not self.url and self.server_pid == 0

    @property
    def is_for_all_hosts(self) -> bool:
        """Whether it listens for other hosts too."""
        return bool(self.url) or self.hosts != (_LOOPBACK,)


def this_host() -> str:
    """The name that hosts are told apart by."""
    return socket.gethostname()


def read_address(home: Home) -> Address | None:
    """The broker's address; None if none was ever started; raises Unreachable if the file cannot be read or understood.

    A filesystem that is away for a minute is no worse than a network that is.
    """
    path = home.address_file
    try:
        fields = json.loads(os.fsdecode(path.read_bytes()))
        fields["hosts"] = tuple(fields["hosts"])
        return Address(**fields)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unreachable(f"the broker's address cannot be read: {error}; is the filesystem of {home.root} there?") from error
    except (ValueError, TypeError, KeyError) as error:
        raise Unreachable(
            f"{path} is not an address file ({error}); if no broker runs, remove it and start one: nunatak broker start"
        ) from error


def write_address(home: Home, address: Address) -> None:
    """Replace the address file (0600: an external server's URL may hold a password)."""
    write_private(home.address_file, json.dumps(asdict(address), indent=1) + "\n")


def interfaces() -> tuple[str, ...]:
    """This host's addresses: IPv4 of each interface, then global IPv6; without loopback and link-local ones."""
    found = [a for _, name in socket.if_nameindex() if (a := _ipv4(name)) is not None]
    four = [a for a in found if not a.startswith(("127.", "169.254."))]
    return tuple(dict.fromkeys(four + _ipv6()))


def _ipv4(interface: str) -> str | None:
    request = struct.pack("256s", os.fsencode(interface)[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            return socket.inet_ntoa(fcntl.ioctl(probe, _SIOCGIFADDR, request)[20:24])
        except OSError:  # the interface has no IPv4 address
            return None


def _ipv6() -> list[str]:
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:  # no IPv6 here
        return []
    # address index prefix_length scope flags name; scope 00 is global
    fields = [line.split() for line in lines]
    return [socket.inet_ntop(socket.AF_INET6, bytes.fromhex(f[0])) for f in fields if f[3] == "00"]


def candidates(address: Address, host: str) -> tuple[str, ...]:
    """Hosts to try from `host`, the likeliest first: its own loopback if the broker is here, else the nearest network."""
    if address.host == host:
        return tuple(dict.fromkeys((_LOOPBACK, *address.hosts)))
    # Another host's loopback would be ours, and whoever listens there would be handed the password.
    others = [h for h in address.hosts if h not in (_LOOPBACK, "::1")]
    return tuple(sorted(others, key=lambda h: -shared_bits(h, source_address(h))))


def source_address(target: str) -> str:
    """The address of ours that the kernel would talk to `target` from; empty if there is no way. Sends nothing."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def shared_bits(one: str, other: str) -> int:
    """How many leading bits two addresses share: more means nearer; -1 if they are not of one kind."""
    family = socket.AF_INET6 if ":" in one else socket.AF_INET
    try:
        a, b = socket.inet_pton(family, one), socket.inet_pton(family, other)
    except OSError:
        return -1
    return len(a) * 8 - (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_length()
