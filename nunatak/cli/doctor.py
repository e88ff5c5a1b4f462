"""`nunatak doctor`: what a person would check before the first block, each with a remedy."""

import os
import shlex
from dataclasses import replace

import click

from launcher.cost import format_su
from launcher.site import Site
from nunatak.doctor.checkup import Wanted, examine
from nunatak.doctor.finding import Finding, Result, worst
from nunatak.doctor.shown import COLOURS, as_dict, lines, summary
from nunatak.doctor.test_job import Patience, job_site
from nunatak.errors import WrongUse
from nunatak.exit_codes import ExitCode
from nunatak.reach import settings_of
from nunatak.screen import printable, say
from nunatak.shown import as_json
from nunatak.sites import chosen_site

_JSON_HELP = "One JSON object: result, and under checks each check with result, text and remedy."


@click.command("doctor", short_help="Check host, cluster and broker; say what to do.", epilog="Example: nunatak doctor -f stampede3-skx")
@click.option("-f", "--site", "word", metavar="SITE", help="The site whose blocks are meant: a name, or a path.")
@click.option("--job", is_flag=True, help="Ask a node too, by a job of one minute on SITE; starts the broker if none runs.")
@click.option("--wait", "wait_min", type=click.FloatRange(min=0, min_open=True), default=15.0, show_default=True, metavar="MINUTES",
              help="How long that job is waited for; then it is cancelled.")
@click.option("--yes", is_flag=True, help="Do not ask whether the job may be charged.")
@click.option("--json", "json_object", is_flag=True, help=_JSON_HELP)
@click.pass_context
def command(context: click.Context, word: str | None, job: bool, wait_min: float, yes: bool, json_object: bool) -> None:
    """Check what a person would check before the first block, and say what to do about it.

    Python and packages, the server program, folders that nodes must see, who may read the password, room and quota, limits of this host,
    the broker, clocks, jobfiles that wait where files are purged, and what sbatch says to a block of SITE (nothing is submitted). Exit 1
    if anything is bad.
    """
    settings = settings_of(context)
    site = chosen_site(settings.home, word) if word is not None else None
    if job and site is None:
        raise WrongUse("--job needs the site that the job is for: nunatak doctor -f SITE --job; nunatak sites list shows them")
    wanted = Wanted(
        settings=settings, site=site, job_site=_agreed(site, yes) if job and site is not None else None, environ=os.environ,
        patience=Patience(wait_s=wait_min * 60), say=say,
    )
    findings = []
    for finding in (_named(found, word) for found in examine(wanted)):
        findings.append(finding)
        if not json_object:
            _show(finding)
    if json_object:
        click.echo(as_json({"result": worst(findings).value, "checks": [as_dict(f) for f in findings]}))
    else:
        click.echo(summary(findings))
    context.exit(ExitCode.SOME_BAD if worst(findings) is Result.BAD else ExitCode.WELL)


def _agreed(site: Site, yes: bool) -> Site:
    """The test job's site, once its user has agreed to what it costs."""
    small = job_site(site)
    cost = small.block_su_max
    if not cost:
        return small
    least = f"; {site.name} charges {site.least_charged_min:g} minutes at least" if site.least_charged_min else ""
    text = f"a job of one minute on {small.nodes_per_block} node(s) of {site.name} costs {format_su(cost)} at most{least}"
    if yes:
        say(text)
    else:
        click.confirm(f"{text}. Submit it?", abort=True, err=True)
    return small


def _named(finding: Finding, word: str | None) -> Finding:
    """Commands to be copied have the site's name, once it is known."""
    if word is None:
        return finding
    text, remedy = (said.replace("-f SITE", f"-f {shlex.quote(word)}") for said in (finding.text, finding.remedy))
    return replace(finding, text=text, remedy=remedy)


def _show(finding: Finding) -> None:
    colour = COLOURS[finding.result]
    for line in lines(finding):
        head, rest = line[:9], line[9:]
        click.echo(click.style(printable(head), fg=colour) + printable(rest))
