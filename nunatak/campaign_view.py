"""One campaign while it runs: asked for, shown, and what is said in between. `run` on this machine and on a cluster share it."""

from broker.errors import Unreachable
from broker.records import Campaign, State
from nunatak.errors import Gone
from nunatak.eta import eta_s, usable_slots
from nunatak.progress import Progress, Snapshot
from nunatak.recent import Recent
from nunatak.session import Broker, Session


class CampaignView:
    """The campaign of this name, and its progress."""

    def __init__(self, session: Session, name: str, progress: Progress) -> None:
        self._session = session
        self._name = name
        self._progress = progress
        #: The broker did not answer when it was asked last.
        self._is_away = False
        #: Why the campaign was paused when it was looked at last.
        self._paused: str | None = None
        #: As it was last seen.
        self.campaign: Campaign | None = None

    def read(self, broker: Broker) -> Campaign:
        """Raises Gone if somebody has forgotten it."""
        campaign = broker.ledger.campaign(self._name)
        if campaign is None:
            raise Gone(f"campaign {self._name} was forgotten while it ran; enqueue it again if that was not meant")
        return campaign

    @staticmethod
    def snapshot(broker: Broker, campaign: Campaign, slots: list[int]) -> Snapshot:
        """The campaign with its ETA; `slots` are those of each worker or block that may run it."""
        usable = usable_slots(slots, [int(campaign.options.get("per_node") or 0)])
        queued, running = campaign.counts[State.QUEUED], campaign.counts[State.RUNNING]
        return Snapshot(campaign=campaign, eta=eta_s(queued, running, usable, Recent(broker.client).durations()))

    def show(self, snapshot: Snapshot) -> None:
        """This is how far it is."""
        self._is_away = False
        self.campaign = snapshot.campaign
        self._progress.show(snapshot)

    def note_away(self, error: Unreachable) -> None:
        """Say once that the broker is away."""
        if not self._is_away:
            self._progress.note(f"{error}; what runs goes on, and so does this command")
        self._is_away = True

    def note_pause(self) -> None:
        """Say once that it is paused while something of it runs."""
        campaign = self.campaign
        assert campaign is not None
        if campaign.paused and campaign.paused != self._paused and campaign.counts[State.RUNNING]:
            self._progress.note(f"paused: {campaign.paused}; waiting for what runs")
        self._paused = campaign.paused
