"""What can go wrong with the broker; each error's text ends with what to do next."""


class BrokerError(Exception):
    """Any refusal of the broker; catch this at the edge and print it."""


class Unreachable(BrokerError):
    """The server did not answer, or answered with an error of its own.

    It never means that anything is lost (LEASES rule 5): try again, after reading the address file anew.
    """


class Stale(Unreachable):
    """The server refuses every verb, because its supervisor has not beaten lately (LEASES rule 8)."""


class QueueFull(BrokerError):
    """The server is at its memory limit: nothing of the batch was enqueued; what is queued is unharmed."""


class CampaignGone(BrokerError):
    """The campaign was forgotten while the command was at work: nothing was changed; give the command again."""


class NoServer(BrokerError):
    """No usable server program was found; the text names what was tried and how to get one."""


class AnotherHome(BrokerError):
    """The directory's jobfiles belong to the broker of another home (LEASES rule 23)."""


class BrokerBusy(BrokerError):
    """The broker is not stopped while blocks live; drain them, or use `--force`."""
