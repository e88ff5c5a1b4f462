"""What must hold in the server after every step, whatever was done: read from the server's keys alone, then compared with the model."""

import json
from collections import Counter
from typing import Any

from lease_model import Model
from lease_records import BAD_ENDS, ENDED, Campaign, Job

Dump = dict[str, Any]


def records(dump: Dump) -> dict[str, dict[str, str]]:
    return {key.removeprefix("job:"): fields for key, fields in dump.items() if key.startswith("job:")}


def check_places(dump: Dump) -> None:
    """Each jobfile is in exactly one place, and the indexes say the same as the records."""
    jobs, leases, tokens = records(dump), dump.get("leases", {}), dump.get("tokens", {})
    running = {i for i, f in jobs.items() if f["state"] == "running"}
    assert set(leases) == running, f"leases {set(leases)}, running {running}"
    assert sorted(tokens.values()) == sorted(running), f"tokens {tokens}, running {running}"
    for job_id, fields in jobs.items():
        if job_id in running:
            assert tokens.get(fields["token"]) == job_id, f"{job_id} runs without its token: {fields}"
        else:
            assert "token" not in fields, f"{job_id} is {fields['state']} and has a token"
            assert "cancel" not in fields, f"{job_id} is {fields['state']} and is still to be cancelled"
        if fields["state"] == "queued":
            check_ticket(dump, job_id, fields)
        else:
            assert job_id not in {*dump.get("suspects", {}), *dump.get("returning", {})}, f"{job_id} is {fields['state']} and waits aside"
    for state in BAD_ENDS:
        recorded = {i for i, f in jobs.items() if f["state"] == state}
        assert set(dump.get(f"ended:{state}", {})) == recorded, f"ended:{state} {dump.get(f'ended:{state}')}, records {recorded}"
    assert "ended:done" not in dump


def check_ticket(dump: Dump, job_id: str, fields: dict[str, str]) -> None:
    """A waiting jobfile can be found by a claim."""
    lane = fields["lane"]
    sidings = [name for name in ("suspects", "returning") if job_id in dump.get(name, {})]
    assert len(sidings) < 2, f"{job_id} waits in {sidings}"
    if not sidings:
        assert job_id in dump.get(f"lane:{lane}", []), f"{job_id} waits without a ticket in {lane}"
        assert lane in dump["lanes"], f"{job_id} waits in {lane}, which no claim looks at"
    assert lane.split(".")[3] == fields["campaign"], f"{job_id} of campaign {fields['campaign']} waits in {lane}"


def check_counts(dump: Dump) -> None:
    """A campaign's counts are those of its records."""
    truth: Counter[tuple[str, str]] = Counter()
    for job_id, fields in records(dump).items():
        number = fields["campaign"]
        truth[number, fields["state"]] += 1
        truth[number, "skipped"] += "skipped" in fields
        assert job_id in dump.get(f"campaign:{number}:jobs", []), f"{job_id} is not in the list of campaign {number}"
    counts = {key.removeprefix("counts:"): fields for key, fields in dump.items() if key.startswith("counts:")}
    counted = {(number, state): int(n) for number, fields in counts.items() for state, n in fields.items() if int(n)}
    assert counted == {key: n for key, n in truth.items() if n}
    assert set(dump.get("campaigns", {}).values()) == {k.split(":")[1] for k in dump if k.startswith("campaign:")}


def _seen(fields: dict[str, str], lease_end: float | None) -> dict[str, object]:
    whole = {name: int(fields.get(name, 0)) for name in ("failures", "losses", "deliveries", "attempt")}
    texts = {name: fields.get(name) for name in ("campaign", "lane", "state", "token")}
    return {**texts, **whole, "cancel": "cancel" in fields, "skipped": "skipped" in fields, "lease_end": lease_end}


def _expected(job: Job) -> dict[str, object]:
    names = ("campaign", "lane", "state", "token", "failures", "losses", "deliveries", "attempt", "cancel", "skipped")
    return {**{n: getattr(job, n) for n in names}, "lease_end": job.lease_end if job.state == "running" else None}


def _endings(fields: dict[str, str]) -> dict[int, str]:
    """How each attempt ended, as the record tells it."""
    earlier = {int(f.removeprefix("attempt:")): json.loads(v) for f, v in fields.items() if f.startswith("attempt:")}
    latest = {int(fields["attempt"]): fields} if "started_at" in fields else {}
    return {n: said["ending"] for n, said in (earlier | latest).items() if "ending" in said}


def check_model(dump: Dump, model: Model) -> None:
    """The server's records are the model's."""
    jobs = records(dump)
    assert set(jobs) == set(model.jobs)
    for job_id, job in model.jobs.items():
        fields = jobs[job_id]
        assert _seen(fields, dump.get("leases", {}).get(job_id)) == _expected(job), f"{job_id}: {fields}"
        assert _endings(fields) == job.endings, f"{job_id}: attempts ended {_endings(fields)}, not {job.endings}: {fields}"
        if job.state == "queued":
            assert fields.get("last_token") == job.last_token, f"{job_id}: {fields} may not be taken back by {job.last_token}"
        assert (job.state in ENDED) <= (job.token is None)
    for campaign in model.campaigns.values():
        paused = dump[f"campaign:{campaign.number}"].get("paused")
        assert (paused is not None) == campaign.paused, f"campaign {campaign.number}: paused={paused}, {campaign}"
        check_row(dump, campaign)
    check_nodes(dump, model)


def check_row(dump: Dump, campaign: Campaign) -> None:
    """The failures in a row that count for a pause, and for whom it is."""
    row = [tuple(entry.split(" ", 1)) for entry in dump.get(f"streak:{campaign.number}", [])]
    assert row == campaign.row, f"campaign {campaign.number}: {row}, not {campaign.row}"
    fields = dump[f"campaign:{campaign.number}"]
    said = fields.get("paused_for"), fields.get("probes")
    assert said == (campaign.paused_for, str(campaign.probes) if campaign.paused_for else None), f"{said}, not {campaign}"


def check_nodes(dump: Dump, model: Model) -> None:
    """Which nodes are bad, and how much is held against each of the others."""
    assert set(dump.get("bad_nodes", {})) == {" ".join(place) for place in model.bad}
    held = {key.removeprefix("place:"): int(row.get("#", 0)) for key, row in dump.items() if key.startswith("place:")}
    expected = {" ".join(place): sum(k is not None for k in row.failed.values()) for place, row in model.rows.items()}
    seen, wanted = ({place: n for place, n in counts.items() if n} for counts in (held, expected))
    assert seen == wanted, f"held against places: {seen}, not {wanted}"


def check_bell(dump: Dump, model: Model) -> None:
    """A wake-up that nobody has consumed is still there while something waits that an idle worker could take."""
    claimable = [i for i, j in model.jobs.items() if j.state == "queued" and not model.campaign_of(j).is_paused_for_all]
    if claimable and model.wakes:
        assert dump.get("bell"), f"{claimable} wait, {model.wakes} wake-ups were not consumed, and the bell is silent"


def check(dump: Dump, model: Model) -> None:
    check_places(dump)
    check_counts(dump)
    check_model(dump, model)
    check_bell(dump, model)
