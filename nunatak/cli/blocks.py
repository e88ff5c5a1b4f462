"""`nunatak blocks`: submit, list, drain and cancel blocks, and let their number follow the queue."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from broker.address import read_address
from launcher import blocks as launcher
from launcher.block import Block
from launcher.errors import CancelFailed
from launcher.site import Site
from nunatak.blocks.cron_line import cron_line, unheard_variables
from nunatak.blocks.hand_submission import submit_by_hand
from nunatak.blocks.leaving import let_leave
from nunatak.blocks.listing import block_line, shown, text_lines
from nunatak.blocks.purse import agree, check_bound, refuse_over
from nunatak.blocks.scale_loop import ScaleLoop
from nunatak.blocks.scaler import Scaler
from nunatak.blocks.watch import look
from nunatak.blocks.wishes import go_on, most_blocks, take_all_back, take_back, target_text
from nunatak.errors import WrongUse
from nunatak.exit_codes import ExitCode
from nunatak.reach import NothingYet, reach, settings_of, with_broker
from nunatak.recent import Recent
from nunatak.screen import printable, say
from nunatak.session import Broker, Session, for_nodes
from nunatak.shown import as_json, heard_of
from nunatak.sites import chosen_site

_F = TypeVar("_F", bound=Callable[..., Any])
_ALL = "all"
_JSON_HELP = "One JSON object per line: block, job_id, site, state, nodes, remaining_s, reason, su, and more."


@click.group("blocks", epilog="Example: nunatak blocks submit 2 -f stampede3-skx")
def command() -> None:
    """Submit, list, drain and cancel blocks: batch jobs whose nodes run jobfiles.

    `scale` lets their number follow the queue, and `tick` is one step of it, for cron. Nothing else needs either of them: blocks work, and
    leave when nothing is left to do, by themselves.
    """


_site_option = click.option("-f", "--site", "word", required=True, metavar="SITE", help="A site's name, its file, or a Parsl config.")
_campaign_option = click.option("--campaign", "names", multiple=True, metavar="NAME", help="Work for this campaign alone; may be repeated.")
_yes_option = click.option("--yes", is_flag=True, help="Do not ask, whatever it may cost.")


def _max_su_option(what: str) -> Callable[[_F], _F]:
    return click.option("--max-su", type=click.FloatRange(min=0), metavar="SU", help=what)


@command.command("submit", short_help="Submit blocks to a site.", epilog="Example: nunatak blocks submit 2 -f stampede3-skx --yes")
@click.argument("count", metavar="N", type=click.IntRange(min=1))
@_site_option
@_campaign_option
@_yes_option
@_max_su_option("Refuse if they can cost more.")
@click.pass_context
def submit(context: click.Context, count: int, word: str, names: tuple[str, ...], yes: bool, max_su: float | None) -> None:
    """Submit N blocks, say what they can cost at most, and print their names.

    The site's limits hold, with what other launchers, and jobs of yours that are not nunatak's, have there already.
    """
    settings = settings_of(context)
    site = chosen_site(settings.home, word)
    refuse_over(site, count, max_su)
    agree(site, count, settings, yes=yes)
    settings = settings if site.provider == "local" else for_nodes(settings)
    with Session(settings) as session:
        session.ask(lambda broker: submit_by_hand(broker, settings, site, count, names, lambda block: click.echo(block.block_id)))


@command.command("list", short_help="List blocks.", epilog="Example: nunatak blocks list --json | jq .remaining_s")
@click.option("--json", "json_lines", is_flag=True, help=_JSON_HELP)
@click.option("--all", "everything", is_flag=True, help="Also those that ended more than a day ago.")
@click.pass_context
def list_(context: click.Context, json_lines: bool, everything: bool) -> None:
    """List blocks with their nodes, what they run, how long they last, what they cost, and why one waits.

    Asks each scheduler once. LEFT is the time until the block's end, SU what it has cost so far.
    """
    try:
        with reach(settings_of(context)) as broker:
            _list(context, broker, json_lines, everything)
    except NothingYet as nothing:
        say(str(nothing))


def _list(context: click.Context, broker: Broker, json_lines: bool, everything: bool) -> None:
    seen = look(broker.ledger, settings_of(context).home)
    now = broker.ledger.now_s()
    listed = sorted(seen.blocks, key=lambda b: (b.submitted_at, b.block_id)) if everything else shown(seen.blocks, now)
    heard = heard_of(seen.workers, Recent(broker.client).pulse().lease_s)
    lines = (as_json(block_line(block, heard, now)) for block in listed) if json_lines else text_lines(listed, heard, now)
    for line in lines:
        click.echo(line)
    for provider, why in seen.silence.items():
        say(f"{provider} is silent, so this is as it was last seen: {why}")
    if not listed:
        say("no block lives or ended within a day: nunatak blocks submit N -f SITE")


@command.command("drain", short_help="Let blocks take nothing more.", epilog="Example: nunatak blocks drain all")
@click.argument("names", metavar="ID...|all", nargs=-1, required=True)
@with_broker
def drain(broker: Broker, names: tuple[str, ...]) -> None:
    """Let blocks take nothing more: what they run goes on, and a node leaves when its last jobfile has ended.

    A block that only waits is cancelled. ID is the block's name or its job's number; `all` also ends what `scale` was asked for.
    """
    settings = settings_of(click.get_current_context())
    theirs = _chosen(broker, names)
    for text in let_leave(broker, settings, theirs):
        say(text)


@command.command("cancel", short_help="End blocks now.", epilog="Example: nunatak blocks cancel b20261122-191500-3f9a01")
@click.argument("names", metavar="ID...|all", nargs=-1, required=True)
@with_broker
def cancel(broker: Broker, names: tuple[str, ...]) -> None:
    """End blocks now: what they run is ended and waits again. `drain` lets it end first.

    ID is the block's name or its job's number; `all` also ends what `scale` was asked for.
    """
    context = click.get_current_context()
    for block in _chosen(broker, names):
        try:
            launcher.cancel(block, settings_of(context).home, ledger=broker.ledger)
            say(f"{block.block_id} was told to end")
        except CancelFailed as error:
            say(str(error))
            context.call_on_close(lambda: context.exit(ExitCode.UNREACHABLE))


def _chosen(broker: Broker, names: Sequence[str]) -> list[Block]:
    """The living blocks that are meant, as they are now; of `all`, nothing submits more of them either."""
    seen = look(broker.ledger, settings_of(click.get_current_context()).home)
    live = [block for block in seen.blocks if not block.state.is_over]
    if _ALL in names:
        for site in take_all_back(broker.ledger):
            say(f"the number of blocks on {site} follows the queue no more")
        if not live:
            say("no block lives")
        return live
    return [_one(name, seen.blocks) for name in dict.fromkeys(names)]


def _one(name: str, blocks: Sequence[Block]) -> Block:
    found = [block for block in blocks if name in (block.block_id, block.job_id)]
    if not found:
        raise WrongUse(f"there is no block {name}: nunatak blocks list shows their names")
    return max(found, key=lambda block: block.submitted_at)


@command.command("scale", short_help="Let their number follow the queue.", epilog="Example: nunatak blocks scale -f stampede3-skx --max 10")
@_site_option
@click.option("--min", "least", type=click.IntRange(min=0), default=0, show_default=True, metavar="A", help="Blocks while anything waits.")
@click.option("--max", "most", type=click.IntRange(min=0), metavar="B", help="Blocks at most; 0 ends it. Default: the site's limit.")
@_campaign_option
@_yes_option
@_max_su_option("What all blocks submitted for this may cost together.")
@click.option("--once", is_flag=True, help="One step only, and leave the rest to `nunatak blocks tick`.")
@click.pass_context
def scale(
    context: click.Context, word: str, least: int, most: int | None, names: tuple[str, ...], yes: bool, max_su: float | None, once: bool
) -> None:
    """Submit blocks while jobfiles wait that no block takes, at most B at a time, until Ctrl-C.

    The wish is kept, so that `scale` may be killed and started anywhere again, and `tick` follows it too. Blocks run on without. Nothing is
    submitted while the scheduler is silent or anything is unknown; failures make it wait 1, 15, 30 and 60 minutes, and then for
    `nunatak blocks resume`.
    """
    settings = for_nodes(settings_of(context))
    site = _cluster(chosen_site(settings.home, word))
    if most == 0:
        with reach(settings) as broker:
            was_there = take_back(broker.ledger, site.name, names)
        how = "follows the queue no more; blocks run on" if was_there else "did not follow the queue"
        say(f"the number of blocks on {site.name} {how}")
        return
    most = most_blocks(site, most)
    if least > most:
        raise WrongUse(f"--min {least}: more than {most}, which is --max or the site's limit")
    check_bound(site, max_su)
    agree(site, most, settings, yes=yes, max_su=max_su)
    with Session(settings) as session:
        loop = ScaleLoop(session, site, say)
        say(f"{site.name} {target_text(loop.wish(names, least, most, max_su))}")
        if once:
            loop.run_once()
        else:
            loop.run()


def _cluster(site: Site) -> Site:
    if site.provider == "local":
        raise WrongUse(f"site {site.name} is this machine: nunatak run DIR starts its block by itself")
    return site


@command.command("tick", short_help="One step of scale, for cron.", epilog="Example: nunatak blocks tick")
@click.pass_context
def tick(context: click.Context) -> None:
    """One step for every site that `scale` or `run` was started for; quiet when there is nothing to say.

    The scheduler is asked only when the site's poll period is over. A broker that died, or that its host has let go, is started again; one
    that you have stopped is not.
    """
    settings = for_nodes(settings_of(context))
    address = read_address(settings.home)
    if address is None or (address.is_stopped and not address.is_wanted):
        return
    with Session(settings) as session:
        Scaler(session, say).run_once()


@command.command("cron", short_help="Print the line for a crontab.", epilog="Example: (crontab -l; nunatak blocks cron) | crontab -")
@click.pass_context
def cron(context: click.Context) -> None:
    """Print the line that lets cron run `nunatak blocks tick` each minute, with this home and this installation."""
    settings = settings_of(context)
    click.echo(printable(cron_line(settings)))
    say("to add it: (crontab -l; nunatak blocks cron) | crontab -")
    for name in unheard_variables(settings):
        say(f"{name} is set here, and cron will not have it: write it into {settings.home.config_file}")


@command.command("resume", short_help="Submit again after failures.", epilog="Example: nunatak blocks resume stampede3-skx")
@click.argument("sites", metavar="[SITE]...", nargs=-1)
@with_broker
def resume(broker: Broker, sites: tuple[str, ...]) -> None:
    """Forgive a site its failures, or all sites: its back-off or its pause is over, and blocks are submitted at the next step."""
    known = broker.ledger.sites()
    for site in sites:
        if site not in known:
            raise WrongUse(f"nothing was ever submitted to a site {site}; there are {', '.join(known) or 'none'}")
    for site in sites or known:
        say(f"{site}: {'blocks are submitted again' if go_on(broker.ledger, site) else 'nothing was held back'}")


@command.command("forgive", short_help="Give a bad node jobfiles again.", epilog="Example: nunatak blocks forgive c123-045")
@click.argument("nodes", metavar="NODE...", nargs=-1, required=True)
@with_broker
def forgive(broker: Broker, nodes: tuple[str, ...]) -> None:
    """Give nodes jobfiles again that were given nothing more, because jobfiles failed there at once that did well elsewhere.

    `nunatak status` names them. Three more failures of that kind, which do not count either, and a node is bad again.
    """
    for node in nodes:
        say(f"{node} {'is given jobfiles again' if broker.ledger.forgive_node(node) else 'is not among the bad nodes'}")
