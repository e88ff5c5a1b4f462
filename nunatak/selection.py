"""Which jobfiles `retry` and `cancel` are about: those named, or those of a campaign or in a state."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from broker.records import State
from nunatak.campaign_names import find_campaign
from nunatak.jobfile_names import JobfileNames
from nunatak.session import Broker

_F = TypeVar("_F", bound=Callable[..., Any])


def selection_options(states: Sequence[State]) -> Callable[[_F], _F]:
    """JOBFILE…, --campaign, --state and --json, as `retry` and `cancel` take them."""

    def add(function: _F) -> _F:
        for option in (
            click.option("--json", "json_object", is_flag=True, help="One JSON object: how many of each outcome."),
            click.option("--state", type=click.Choice([s.value for s in states]), help="Those in this state."),
            click.option("--campaign", metavar="NAME", help="Those of this campaign."),
            click.argument("jobfiles", metavar="[JOBFILE]...", nargs=-1),
        ):
            function = option(function)
        return function

    return add


def selected_ids(
    broker: Broker, jobfiles: Sequence[str], campaign: str | None, state: str | None, by_default: Sequence[State]
) -> list[str]:
    """Ids of the jobfiles that are meant; raises click.UsageError if nothing says which, or two things do.

    `by_default` are the states of a campaign's jobfiles that are meant if none is named.
    """
    if jobfiles and (campaign or state):
        raise click.UsageError("name jobfiles, or use --campaign and --state, but not both")
    if jobfiles:
        return [job.job_id for job in JobfileNames(broker.client).find_all(jobfiles)]
    if not campaign and not state:
        raise click.UsageError(f"say which: JOBFILE..., --campaign NAME, or --state {'|'.join(s.value for s in by_default)}")
    if campaign:
        find_campaign(broker.ledger, campaign)
    ids = (job.job_id for s in ([State(state)] if state else by_default) for job in broker.ledger.jobs(campaign, s))
    # One that changes its state while we read is found twice.
    return list(dict.fromkeys(ids))
