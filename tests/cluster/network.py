"""The cluster's network: a bridge as its switch, a port for each host, and what goes wrong with cables."""

import subprocess
from collections.abc import Iterable, Mapping, Sequence

from cluster.addresses import address, hardware_address

#: A network card that nobody has.
NOWHERE = "02:4d:00:00:00:00"


def _batch(pid: int, lines: Iterable[str], program: str = "ip", *, forgiving: bool = False) -> None:
    """Commands of ip or bridge in the network of a process."""
    text = "\n".join(lines) + "\n"
    command = ["nsenter", "-t", str(pid), "-n", program, "-force", "-batch", "-"]
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False, timeout=60)
    if done.returncode and not forgiving:
        raise RuntimeError(f"{program} failed: {done.stderr.strip()}; it was told:\n{text}")


def make_switch(fabric: int) -> None:
    """A port forwards as soon as it is there: no spanning tree, no snooping."""
    bridge = "link add br0 type bridge forward_delay 0 stp_state 0 mcast_snooping 0"
    _batch(fabric, ["link set lo up", bridge, "link set br0 up"])


def plug(fabric: int, pids: Mapping[str, int], everybody: Sequence[str]) -> None:
    """Give these hosts their cards and addresses.

    All neighbours are known for good: otherwise a sender would be told of a cut after three seconds (EHOSTUNREACH), which behind a real
    router it is not.
    """
    for host in pids:
        _batch(fabric, [f"link del p-{host}"], forgiving=True)
    cables = (
        [f"link add p-{host} type veth peer name eth0 netns {pid}", f"link set p-{host} master br0", f"link set p-{host} up"]
        for host, pid in pids.items()
    )
    _batch(fabric, [line for cable in cables for line in cable])
    for host, pid in pids.items():
        own = ["link set lo up", f"link set eth0 address {hardware_address(host)}", f"addr add {address(host)}/16 dev eth0"]
        _batch(pid, [*own, "link set eth0 up", *(_neighbour(other, hardware_address(other)) for other in everybody if other != host)])


def _neighbour(host: str, card: str) -> str:
    return f"neigh replace {address(host)} lladdr {card} nud permanent dev eth0"


def cut(fabric: int, hosts: Iterable[str]) -> None:
    """The switch drops every frame from and to these hosts, whose own cards stay up: nobody sees an error, a FIN or an RST."""
    _batch(fabric, [f"link set dev p-{host} state 0" for host in hosts], "bridge", forgiving=True)


def heal(fabric: int, hosts: Iterable[str]) -> None:
    _batch(fabric, [f"link set dev p-{host} state 3" for host in hosts], "bridge", forgiving=True)


def cut_pair(pids: Mapping[str, int], one: str, other: str) -> None:
    """Each of the two sends to a card that nobody has what is meant for the other; the rest of their traffic goes on."""
    for here, there in ((one, other), (other, one)):
        _batch(pids[here], [_neighbour(there, NOWHERE)])


def heal_pair(pids: Mapping[str, int], one: str, other: str) -> None:
    for here, there in ((one, other), (other, one)):
        _batch(pids[here], [_neighbour(there, hardware_address(there))])
