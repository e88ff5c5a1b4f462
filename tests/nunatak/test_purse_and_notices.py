"""What blocks can cost is asked about, and what a user hears of sites, blocks and nodes."""

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from broker.home import Home
from broker.records import BadNode
from launcher.block import Block, BlockState
from launcher.site import Site
from launcher.targets import SiteState
from nunatak.blocks.purse import agree, check_bound, refuse_over
from nunatak.blocks.scaler import is_due
from nunatak.blocks.site_notices import bad_nodes_text, held_text, waiting_text
from nunatak.errors import Interrupted, WrongUse
from nunatak.settings import LauncherSettings, Settings

SITE = Site(name="skx", provider="slurm", walltime="24:00:00", nodes_per_block=4, source="/sites/skx.toml")
ENDLESS = Site(name="skx", provider="slurm", source="/sites/skx.toml")


def asked(answer: str, site: Site = SITE, count: int = 2, **more: object) -> tuple[str, BaseException | None]:
    """What is said, and how it ended."""

    @click.command()
    def command() -> None:
        settings = Settings(home=Home(Path("/nowhere")), launcher=LauncherSettings(confirm_su=100.0))
        agree(site, count, settings, **{"yes": False, "ask": True, **more})  # type: ignore[arg-type]

    result = CliRunner().invoke(command, input=answer)
    return result.stderr, result.exception


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: asked("y\n"), type(None)),
        (lambda: asked("n\n"), Interrupted),
        (lambda: asked("", yes=True), type(None)),
        (lambda: asked("", ask=False), WrongUse),
        # 96 SU are little; so are two blocks that together may cost 90.
        (lambda: asked("", count=1), type(None)),
        (lambda: asked("", max_su=90.0), type(None)),
        # Nobody knows how much.
        (lambda: asked("n\n", site=ENDLESS, count=1), Interrupted),
    ],
)
def test_more_than_confirm_su_needs_a_yes(call: Callable[[], tuple[str, BaseException | None]], error: type):
    said, ended = call()
    assert type(ended) is error
    assert "on skx" in said


def test_a_bound_that_nobody_can_keep_is_refused():
    check_bound(SITE, 1.0)
    check_bound(ENDLESS, None)
    with pytest.raises(WrongUse, match=r"gives no walltime.*add one to /sites/skx.toml"):
        check_bound(ENDLESS, 1.0)
    refuse_over(SITE, 2, 192.0)
    with pytest.raises(WrongUse, match="192 SU at most, more than --max-su 191; nothing was submitted"):
        refuse_over(SITE, 2, 191.0)


POLLS = [(0.0, True), (950.0, False), (945.9, True), (1000.0, False), (1059.0, False), (1061.0, True)]


@pytest.mark.parametrize(("polled_at", "due"), POLLS)
def test_a_scheduler_is_asked_when_its_period_is_over_or_another_hosts_clock_was_wrong(polled_at, due):
    assert is_due(Site(name="s", provider="slurm", poll_every_s=60.0), SiteState(polled_at=polled_at), 1000.0) is due


def test_sites_that_are_held_are_told_with_time_and_reason():
    states = {
        "icx": SiteState(held="squeue hung", held_since=1.0),
        "skx": SiteState(paused="3 blocks in a row died young", paused_at=1.0, held="as well", held_since=1.0),
        "well": SiteState(),
    }
    icx, skx = held_text(states)
    assert icx.startswith("nothing is submitted on icx since 1970-01-01 ")
    assert icx.endswith("because squeue hung")
    assert "because 3 blocks in a row died young; when its cause is gone: nunatak blocks resume skx" in skx


def test_waiting_blocks_are_told_by_site_with_the_commonest_reason():
    def block(number: int, state: BlockState, site: str = "skx", reason: str = "") -> Block:
        return Block(block_id=f"b{number}", site=site, provider="slurm", state=state, reason=reason)

    waits = [block(n, BlockState.WAITING, reason=reason) for n, reason in enumerate(("few", "many", "many"))]
    others = [block(8, BlockState.RUNNING), block(9, BlockState.WAITING, "icx")]
    assert waiting_text([*waits, *others]) == ["1 block waits on icx", "3 blocks wait on skx: many"]


def test_bad_nodes_of_living_blocks_are_named():
    nodes = [BadNode(node=f"c{n}", block=f"b{n % 2}", since=1.0, reason="5 jobfiles failed within 60 s") for n in range(10)]
    assert bad_nodes_text(nodes, []) == []
    (text,) = bad_nodes_text(nodes, ["b0"])
    assert text.startswith("5 bad nodes given nothing more: c0 (block b0) since ")
    assert text.endswith("and 2 more; mended: nunatak blocks forgive NODE")
