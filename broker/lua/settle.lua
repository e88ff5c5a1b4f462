-- settle: a claim's outcome becomes the ledger's; also late, as long as nobody has started the jobfile since (LEASES rule 3).
--
-- ARGV 2 id, 3 token, 4 verdict ('done', 'skipped', 'failed', 'cancelled'), 5 reason, 6 exit_code, 7 signal, 8 elapsed_ms ('' = never started),
--      9 cpu_s, 10 max_rss_mb, 11 '1' if it counts as a failure, 12 '1' if it may be retried, 13 retries by default,
--      14 fingerprint of the text that ran
--
-- Returns {'settled', state}, also when this claim was settled before; {'stranger', state} if the claim is not the caller's: nothing changed.
local B = beat()
if not B then return stale() end
local id, token, verdict, reason = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local v = fields(id, 'state', 'token', 'last_token', 'cancel', 'campaign', 'settled_token', 'node', 'block')
local state, campaign = v[1], v[5]
if not state then return {'stranger', 'forgotten'} end
if v[6] == token then return {'settled', state} end
if v[2] ~= token and not (v[3] == token and state == 'queued') then return {'stranger', state} end

local key, node, place = 'job:' .. id, v[7] or '', string.sub(place_of(v[7], v[8]), 2, -2)
local counts, started = ARGV[11] == '1', ARGV[8] ~= ''
-- What could not be started at all failed quickly too.
local quick = not started or tonumber(ARGV[8]) < B.quick_ms

local function finish(to)
  set_state(id, to)
  redis.call('HDEL', key, 'cancel')
end

local function fail()
  local failures = tonumber(fields(id, 'failures')[1] or '0')
  if counts then failures = redis.call('HINCRBY', key, 'failures', 1) end
  local retries = tonumber(redis.call('HGET', 'campaign:' .. campaign, 'retries') or ARGV[13])
  if ARGV[12] == '1' and failures <= retries then
    wait(id, false, B.max_losses)
  else
    finish('failed')
    note_final_failure(campaign)
    -- With fewer failures it would have been tried again.
    if ARGV[12] == '1' then redis.call('HSET', key, 'worn_out', 1) else redis.call('HDEL', key, 'worn_out') end
  end
  if counts then
    spread_pause(campaign, node)
    if failures == 1 then note_failure(campaign, id, node, reason) end
    if quick then note_quick(id, reason, B.max_losses) end
  end
  pause_if_due(campaign, is_suspect(place, campaign, reason) and node or '')
end

if v[2] ~= token then forgive_loss(id) end
end_claim(id, token)
if ARGV[8] ~= '' then mark_started(id, tonumber(ARGV[8])) end
redis.call('HSET', key, 'ended_at', int(NOW), 'reason', reason, 'ending', verdict)
for i, name in ipairs({'exit_code', 'signal', 'elapsed_ms', 'cpu_s', 'max_rss_mb'}) do
  if ARGV[5 + i] ~= '' then redis.call('HSET', key, name, ARGV[5 + i]) end
end
if ARGV[14] ~= '' then redis.call('HSET', key, 'fingerprint', ARGV[14]) end

if verdict == 'done' or verdict == 'skipped' then
  if verdict == 'skipped' then
    redis.call('HINCRBY', 'counts:' .. campaign, 'skipped', 1)
    redis.call('HSET', key, 'skipped', 1)
  end
  finish('done')
  note_success(campaign)
  if verdict == 'done' and started then note_well(id, campaign, node, place, B.max_losses) end
elseif verdict == 'cancelled' or v[4] then
  finish('cancelled')
elseif counts and quick and is_bad(place) then
  -- It was given out before the node was known to be bad.
  redis.call('HSET', key, 'taken_off', (fields(id, 'taken_off')[1] or '') .. ';' .. place .. ';')
  wait(id, true, B.max_losses)
else
  fail()
end
local now = fields(id, 'state')[1]
event('ended', id, 'verdict', verdict, 'state', now, 'reason', reason, 'exit_code', ARGV[6], 'elapsed_ms', ARGV[8], 'cpu_s', ARGV[9], 'max_rss_mb', ARGV[10])
return {'settled', now}
