"""The broker's settings; only the roof reads them from files and the environment."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LeaseSettings:
    """How long a worker may hold a jobfile without a sign of life, and who says that time passes."""

    #: A lease not renewed for this long is lost.
    lease_s: float = 300.0
    #: How long before its lease's end a holder that has not reached the broker freezes its jobfile.
    margin_s: float = 60.0
    #: How often the holder renews; at most a third of `lease_s`.
    renew_every_s: float = 40.0
    #: How often the supervisor beats.
    beat_every_s: float = 15.0
    #: A server whose last beat is this old refuses every verb.
    beat_fresh_s: float = 60.0
    #: How often the supervisor looks for leases that have run out.
    reap_every_s: float = 10.0
    #: A jobfile lost this often with its node is set aside instead of being started again.
    max_losses: int = 4
    #: A failure sooner than this after its start may be the node's: see "Bad nodes" in docs/leases.md.
    quick_s: float = 60.0

    def __post_init__(self) -> None:
        if self.renew_every_s * 3 > self.lease_s:
            raise ValueError(
                f"renew_every_s={self.renew_every_s:g} is too slow for lease_s={self.lease_s:g}: use {self.lease_s / 3:g} or less"
            )
        if self.margin_s + self.renew_every_s >= self.lease_s:
            raise ValueError(f"margin_s={self.margin_s:g} leaves no time between a renewal and the freeze: use less than "
                             f"{self.lease_s - self.renew_every_s:g}")
        if self.beat_every_s * 2 > self.beat_fresh_s:
            raise ValueError(f"beat_every_s={self.beat_every_s:g} is too slow for beat_fresh_s={self.beat_fresh_s:g}: "
                             f"use {self.beat_fresh_s / 2:g} or less")
        if self.max_losses < 1:
            raise ValueError(f"max_losses={self.max_losses}: use 1 or more")


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """How the server is run."""

    #: "loopback": this machine only; "all": every interface, for workers on other hosts.
    bind: str = "loopback"
    #: "always": an answer means durable (LEASES rule 6). "everysec" loses claims with a host's crash; for experiments only.
    fsync: str = "always"
    #: A broker that has nothing waiting or running, no block and no visitor for this long stops itself.
    idle_stop_s: float = 1800.0
    #: The append-only file is rewritten at least this often: scratch filesystems purge what nobody touches.
    rewrite_every_s: float = 5 * 86400.0
    #: An external server, `redis://…`; empty: our own.
    url: str = ""

    def __post_init__(self) -> None:
        if self.bind not in ("loopback", "all"):
            raise ValueError(f"bind={self.bind!r}: use loopback or all")
        if self.fsync not in ("always", "everysec"):
            raise ValueError(f"fsync={self.fsync!r}: use always")
