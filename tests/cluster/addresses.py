"""The hosts' names and addresses: pure values, the same in every cluster, because each cluster has a network of its own."""

CONTROLLER = "ctl"
LOGINS = ("login", "login2")
#: The first sixteen bits; they exist inside of the namespaces only.
NETWORK = "10.77"


def compute_names(count: int) -> tuple[str, ...]:
    return tuple(f"n{number}" for number in range(1, count + 1))


def host_names(count: int) -> tuple[str, ...]:
    return (CONTROLLER, *LOGINS, *compute_names(count))


def is_compute(host: str) -> bool:
    return host not in (CONTROLLER, *LOGINS)


def address(host: str) -> str:
    if not is_compute(host):
        return f"{NETWORK}.0.{(CONTROLLER, *LOGINS).index(host) + 1}"
    number = int(host[1:]) - 1
    return f"{NETWORK}.{1 + number // 250}.{1 + number % 250}"


def hardware_address(host: str) -> str:
    return "02:4d:" + ":".join(f"{int(part):02x}" for part in address(host).split("."))


def hosts_file(count: int) -> str:
    """The text of /etc/hosts."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"]
    return "\n".join([*lines, *(f"{address(host)} {host}" for host in host_names(count))]) + "\n"
