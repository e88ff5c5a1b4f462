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
local v = fields(id, 'state', 'token', 'last_token', 'cancel', 'campaign', 'settled_token')
local state, campaign = v[1], v[5]
if not state then return {'stranger', 'forgotten'} end
if v[6] == token then return {'settled', state} end
if v[2] ~= token and not (v[3] == token and state == 'queued') then return {'stranger', state} end

local key, ledger = 'job:' .. id, 'campaign:' .. campaign

local function pause(why)
  if redis.call('HGET', ledger, 'paused') then return end
  redis.call('HSET', ledger, 'paused', why)
  event('paused', '', 'campaign', campaign, 'reason', why)
end

-- One wrong module must not burn a campaign: the first 5 jobfiles to end, or 20 in a row, that fail for the same reason stop it.
-- Only a jobfile's first failure counts, or one jobfile's retries would be the row.
local function note_success() redis.call('HSET', ledger, 'streak', 0, 'succeeded', 1) end

local function note_failure(failures)
  if failures > 1 then return end
  local c = redis.call('HMGET', ledger, 'streak', 'streak_reason', 'succeeded')
  local streak = c[2] == reason and tonumber(c[1] or '0') + 1 or 1
  redis.call('HSET', ledger, 'streak', streak, 'streak_reason', reason)
  if streak == 1 and c[2] and c[2] ~= reason then redis.call('HSET', ledger, 'succeeded', 1) end
  if streak >= 20 or (streak >= 5 and not c[3]) then pause(streak .. ' jobfiles in a row failed: ' .. reason) end
end

local function note_final_failure()
  local limit = tonumber(redis.call('HGET', ledger, 'max_fails') or '0')
  if limit <= 0 then return end
  local fails = redis.call('HINCRBY', ledger, 'fails_since_resume', 1)
  if fails >= limit then pause(fails .. ' jobfiles failed (max_fails)') end
end

local function finish(to)
  set_state(id, to)
  redis.call('HDEL', key, 'cancel')
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
  note_success()
elseif verdict == 'cancelled' or v[4] then
  finish('cancelled')
else
  local failures = tonumber(fields(id, 'failures')[1] or '0')
  if ARGV[11] == '1' then failures = redis.call('HINCRBY', key, 'failures', 1) end
  local retries = tonumber(redis.call('HGET', ledger, 'retries') or ARGV[13])
  if ARGV[12] == '1' and failures <= retries then wait(id, false, B.max_losses) else finish('failed') end
  if ARGV[11] == '1' then note_failure(failures) end
  if fields(id, 'state')[1] == 'failed' then note_final_failure() end
end
local now = fields(id, 'state')[1]
event('ended', id, 'verdict', verdict, 'state', now, 'reason', reason, 'exit_code', ARGV[6], 'elapsed_ms', ARGV[8], 'cpu_s', ARGV[9], 'max_rss_mb', ARGV[10])
return {'settled', now}
