"""When a node leaves by itself, and what it is called until then: pure."""

from dataclasses import dataclass

from tasks.settings import WorkerSettings

#: The broker's words for a node that is to claim nothing more.
DRAIN, BAD = "drain", "bad"
_STATES = {DRAIN: "draining", BAD: "bad"}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How things are on the node."""

    #: Claims whose jobfiles have not ended here.
    running: int
    #: Claims that the broker has no end of yet.
    open_claims: int
    #: For how long nothing has run.
    idle_s: float
    #: For how long the broker has not answered.
    silent_s: float
    #: The broker's last word on claiming, and its reason; None: claim.
    told: tuple[str, str] | None
    #: Unix seconds.
    now: float
    #: The node's end is near, and it claims nothing more.
    warned: bool = False


def reason_to_leave(settings: WorkerSettings, node: Standing) -> str | None:
    """Why the node leaves now, for a person; None: it stays.

    A bad node stays as long as an idle one, without claiming: it may be forgiven, and to leave early saves nothing of what is charged
    but would make room for a new block, which may well get the same node. What has ended is not waited for without a broker: its result
    record is found by whoever claims it next.
    """
    if node.running:
        return None
    if node.silent_s >= settings.no_broker_idle_s:
        return f"no broker for {settings.no_broker_idle_s:g} s and nothing running"
    if node.open_claims:
        return None
    if node.warned:
        return "its block ends soon and nothing runs"
    if node.told is not None and node.told[0] == DRAIN:
        return "its block is drained"
    if node.idle_s >= settings.idle_s and not _is_paid_for(settings, node):
        return f"idle for {settings.idle_s:g} s" + ("" if node.told is None else f", bad node: {node.told[1]}")
    return None


def _is_paid_for(settings: WorkerSettings, node: Standing) -> bool:
    return settings.stay_until_unix is not None and node.now < settings.stay_until_unix


def state_of(told: tuple[str, str] | None, *, leaving: bool) -> str:
    """The worker's state, as `nunatak workers` shows it."""
    if leaving:
        return "leaving"
    return "running" if told is None else _STATES[told[0]]
