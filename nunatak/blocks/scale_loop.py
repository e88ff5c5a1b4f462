"""`nunatak blocks scale`: the step, again and again until its user goes."""

import time
from collections.abc import Callable, Sequence

from broker.errors import Unreachable
from launcher.site import Site
from launcher.targets import SiteState, Target
from nunatak.blocks.scaler import Report, Scaler
from nunatak.blocks.site_notices import held_text
from nunatak.blocks.wishes import wish
from nunatak.campaign_names import find_campaigns
from nunatak.errors import Interrupted
from nunatak.interrupts import Interrupts
from nunatak.session import Session

#: How often it is looked whether a step is due; the scheduler is asked when its period is over.
_LOOK_S = 5.0


class ScaleLoop:
    """One wish for one site, followed."""

    def __init__(self, session: Session, site: Site, tell: Callable[[str], object]) -> None:
        self._session = session
        self._site = site
        self._tell = tell
        self._scaler = Scaler(session, tell)
        self._campaigns: tuple[str, ...] = ()
        self._is_away = False
        #: Its user has just given the command, and does not wait for the scheduler's period.
        self._is_first = True

    def wish(self, names: Sequence[str], least: int, most: int, max_su: float | None, *, until_ended: bool = False) -> Target:
        """Record what is wished for. Raises UnknownCampaign, WrongUse, Unreachable."""
        self._campaigns = tuple(names)
        target = Target(
            campaigns=self._campaigns, min_blocks=least, max_blocks=most, max_su=max_su, since=time.time(), until_ended=until_ended
        )
        if names:
            self._session.insist(lambda broker: find_campaigns(broker.ledger, names))
        wished = self._session.insist(lambda broker: wish(broker.ledger, self._site, target))
        self._tell_held()
        return wished

    def _tell_held(self) -> None:
        """What an earlier step has found is told once, and that was not here."""
        fields = self._session.insist(lambda broker: broker.ledger.site(self._site.name))
        for text in held_text({self._site.name: SiteState.from_fields(fields)}):
            self._tell(text)

    def run_once(self) -> list[Report]:
        """One step, if it is due, and the first at once; while the broker is away, none. Raises BadSite, NoSite."""
        try:
            reports = self._scaler.run_once({self._site.name}, at_once=self._is_first)
        except Unreachable as error:
            if not self._is_away:
                self._tell(f"{error}; blocks run on, and so does this command")
            self._is_away = True
            return []
        self._is_away = self._is_first = False
        return reports

    def is_wished(self) -> bool:
        """Whether the wish is still there: somebody may have taken it back. True while the broker is away."""
        try:
            fields = self._session.ask(lambda broker: broker.ledger.site(self._site.name))
        except Unreachable:
            return True
        return SiteState.from_fields(fields).target(self._campaigns) is not None

    def run(self) -> None:
        """Until its user goes (Interrupted), or the wish is taken back."""
        with Interrupts() as interrupts:
            while not interrupts.asked:
                self.run_once()
                if not self.is_wished():
                    self._tell(f"the number of blocks on {self._site.name} follows the queue no more; blocks run on")
                    return
                interrupts.sleep(_LOOK_S)
        raise Interrupted(left_text(self._site.name))


def left_text(site: str) -> str:
    """What stays when nobody scales any more, and how to end that too."""
    return (
        "blocks run on, and leave when nothing is left to do; `nunatak blocks tick` (see nunatak blocks cron) goes on with this. "
        f"To submit no more: nunatak blocks scale -f {site} --max 0. To look: nunatak blocks list; to end: nunatak blocks drain all"
    )
