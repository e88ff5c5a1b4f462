-- streak: when a campaign pauses by itself; put before the verbs that judge how jobfiles end (broker/scripts.py).
--
-- One wrong module must not burn a campaign: the first 5 jobfiles to end, or 20 in a row, that fail for the same reason stop it, and so do
-- `max_fails` failures for good. Only a jobfile's first failure counts, or one jobfile's retries would be the row. The list streak:<n> holds
-- "id node" of each, so that what a bad node has done can be taken off again.
local function note_success(campaign)
  redis.call('DEL', 'streak:' .. campaign)
  redis.call('HSET', 'campaign:' .. campaign, 'succeeded', 1)
end

local function note_failure(campaign, id, node, reason)
  local ledger, row = 'campaign:' .. campaign, 'streak:' .. campaign
  local earlier = redis.call('HGET', ledger, 'streak_reason')
  if earlier and earlier ~= reason then
    redis.call('DEL', row)
    redis.call('HSET', ledger, 'succeeded', 1)
  end
  redis.call('HSET', ledger, 'streak_reason', reason)
  redis.call('RPUSH', row, id .. ' ' .. node)
  redis.call('LTRIM', row, -20, -1)
end

local function note_final_failure(campaign)
  local ledger = 'campaign:' .. campaign
  if tonumber(redis.call('HGET', ledger, 'max_fails') or '0') > 0 then redis.call('HINCRBY', ledger, 'fails_since_resume', 1) end
end

local function take_off_streak(campaign, id, node, was_final)
  local ledger, row = 'campaign:' .. campaign, 'streak:' .. campaign
  redis.call('LREM', row, 0, id .. ' ' .. node)
  if redis.call('LLEN', row) == 0 then redis.call('HDEL', ledger, 'streak_reason') end
  if was_final and tonumber(redis.call('HGET', ledger, 'fails_since_resume') or '0') > 0 then
    redis.call('HINCRBY', ledger, 'fails_since_resume', -1)
  end
end

local function why_pause(campaign)
  local c = redis.call('HMGET', 'campaign:' .. campaign, 'streak_reason', 'succeeded', 'max_fails', 'fails_since_resume')
  local row = redis.call('LLEN', 'streak:' .. campaign)
  if row >= 20 or (row >= 5 and not c[2]) then return row .. ' jobfiles in a row failed: ' .. c[1] end
  local limit, fails = tonumber(c[3] or '0'), tonumber(c[4] or '0')
  if limit > 0 and fails >= limit then return fails .. ' jobfiles failed (max_fails)' end
  return nil
end

-- Whether all of the row failed on this node.
local function is_streak_of(campaign, node)
  for _, entry in ipairs(redis.call('LRANGE', 'streak:' .. campaign, 0, -1)) do
    if string.match(entry, '^%S+ (.*)$') ~= node then return false end
  end
  return true
end

-- `suspect`: a node that may be the reason ('' if none is). Then the pause is for that node, and a few jobfiles are given to others
-- (`probes`), which shows whose fault it is: a new campaign has no other ends to compare with.
local function pause_if_due(campaign, suspect)
  local ledger, why = 'campaign:' .. campaign, why_pause(campaign)
  if not why or redis.call('HGET', ledger, 'paused') then return end
  redis.call('HSET', ledger, 'paused', why, 'paused_by_itself', 1)
  if suspect ~= '' and is_streak_of(campaign, suspect) then redis.call('HSET', ledger, 'paused_for', suspect, 'probes', 5) end
  event('paused', '', 'campaign', campaign, 'reason', why)
end

-- A failure elsewhere: the pause is for all.
local function spread_pause(campaign, node)
  local suspect = redis.call('HGET', 'campaign:' .. campaign, 'paused_for')
  if suspect and suspect ~= node then redis.call('HDEL', 'campaign:' .. campaign, 'paused_for', 'probes') end
end

local function resume_if_no_longer_due(campaign)
  local ledger = 'campaign:' .. campaign
  if not redis.call('HGET', ledger, 'paused_by_itself') or why_pause(campaign) then return end
  redis.call('HDEL', ledger, 'paused', 'paused_by_itself', 'paused_for', 'probes')
  ring(1000)
  event('resumed', '', 'campaign', campaign)
end
