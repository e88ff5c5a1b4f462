"""The property test is worth something: each bug planted here in a verb's script is found by it."""

import pytest
from hypothesis.stateful import run_state_machine_as_test
from lease_machine import LeaseMachine
from lease_server import LeaseServer
from planted_bug import Bug, hunting

BUGS = (
    Bug(
        name="a_stranger_settles",
        verb="settle",
        right="if v[2] ~= token and not (v[3] == token and state == 'queued') then return {'stranger', state} end",
        wrong="token = v[2] or token",
    ),
    Bug(
        name="a_repeated_settle_counts_again",
        verb="prelude",
        right="redis.call('HDEL', 'job:' .. id, 'last_token')\n  redis.call('HSET', 'job:' .. id, 'settled_token', token)",
        wrong="redis.call('HSET', 'job:' .. id, 'last_token', token)",
    ),
    Bug(name="the_grace_is_ignored", verb="reap", right="if NOW < B.grace_until then", wrong="if false then"),
    Bug(name="a_restarted_server_gives_no_grace", verb="beat", right=" or v[2] ~= ARGV[5]", wrong=""),
    Bug(name="a_stepped_clock_gives_no_grace", verb="beat", right=" or ARGV[6] == '1'", wrong=""),
    Bug(name="leases_outlive_a_clock_that_jumped_back", verb="beat", right="if gap then\n", wrong="if gap then\n  NOW = 1e15\n"),
    Bug(name="a_stale_server_goes_on", verb="prelude", right="if age < 0 or age >= tonumber(v[3]) then return nil end", wrong=""),
    Bug(name="a_beat_from_the_future_is_fresh", verb="prelude", right="if age < 0 or age >=", wrong="if age >="),
    Bug(name="anybody_takes_back", verb="take_back", right="if v[1] ~= 'queued' or v[3] ~= token then", wrong="if v[1] ~= 'queued' then"),
    Bug(
        name="what_was_cancelled_is_taken_back",
        verb="take_back",
        right="if v[1] ~= 'queued' or v[3] ~= token then",
        wrong="if v[3] ~= token then",
    ),
    Bug(name="a_loss_stays_although_it_was_taken_back", verb="take_back", right="\nforgive_loss(id)", wrong=""),
    Bug(name="a_loss_stays_although_it_was_settled_late", verb="settle", right="then forgive_loss(id) end", wrong="then end"),
    Bug(
        name="changed_options_lose_the_ticket",
        verb="enqueue",
        right="redis.call('HSET', key, 'lane', lane)\n    push_ticket(id, lane, false)",
        wrong="redis.call('HSET', key, 'lane', lane)",
    ),
    Bug(
        name="counts_stay_with_the_old_campaign",
        verb="enqueue",
        right="redis.call('HINCRBY', 'counts:' .. campaign, v[1], 1)",
        wrong="",
    ),
    Bug(name="a_batch_is_not_remembered", verb="enqueue", right="if earlier then return", wrong="if false then return"),
    Bug(name="the_same_token_claims_twice", verb="claim", right="if held then", wrong="if false then"),
    Bug(
        name="a_paused_campaign_is_claimed",
        verb="claim",
        right="return not is_paused(campaign, ARGV[4])",
        wrong="return true",
    ),
    Bug(name="one_loss_too_many_is_allowed", verb="claim", right="if tonumber(v[2]) >= B.max", wrong="if tonumber(v[2]) > B.max"),
    Bug(
        name="the_bell_goes_although_something_waits",
        verb="claim",
        right="if redis.call('ZCARD', 'suspects')",
        wrong="redis.call('DEL', 'bell')\nif redis.call('ZCARD', 'suspects')",
    ),
    Bug(name="a_start_that_nobody_reported_has_no_number", verb="reap", right="mark_started(id, NOW - tonumber(v[3]))", wrong=""),
    Bug(
        name="cancel_takes_the_claim_away",
        verb="cancel",
        right="redis.call('HSET', 'job:' .. id, 'cancel', 1)",
        wrong="set_state(id, 'cancelled')",
    ),
    Bug(name="a_cancelled_jobfile_is_reaped_into_the_queue", verb="reap", right="if v[4] then", wrong="if false then"),
    Bug(name="a_free_hand_back_costs_a_delivery", verb="give_back", right="if free then", wrong="if not free then"),
    Bug(name="a_retry_keeps_the_old_losses", verb="retry", right="'failures', 'losses',", wrong="'failures',"),
    Bug(name="a_dry_run_enqueues", verb="enqueue", right="if not dry then apply", wrong="if true then apply"),
    Bug(name="a_lease_is_not_renewed", verb="renew", right="redis.call('ZADD', 'leases', int(NOW + B.lease_ms), id)", wrong=""),
)


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_property_test_finds(bug: Bug, shared_lease_server: LeaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.plant_in_scripts(monkeypatch)
    with pytest.raises((Exception, pytest.fail.Exception)):
        run_state_machine_as_test(lambda: LeaseMachine(shared_lease_server), settings=hunting(50, examples=600))  # type: ignore[arg-type]
