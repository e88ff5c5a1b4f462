-- renew: push the ends of one worker's leases out, and leave word that the worker is alive.
--
-- ARGV 2 worker, 3 node, 4 block, 5 what it says of itself (JSON), then for each claim: id, token, phase ('held', 'running'), age_ms of the run
--
-- Returns {safe_ms, counter, fresh_ms, 'drain' or 'bad' if it is given nothing more ('' otherwise), why, then one word per claim}: 'renewed'; 'cancel' (renewed, but its user wants it ended); 'waiting' (its lease ran
-- out and nobody has started it since: take_back); 'settled' (this very claim has ended); 'lost' (somebody else's, or forgotten).
local B = beat()
if not B then return stale() end
if redis.call('HSET', 'workers', ARGV[2], cjson.encode({at = int(NOW), said = ARGV[5]})) == 1 and redis.call('SISMEMBER', 'blocks', ARGV[4]) == 1 then
  -- A block none of whose workers was ever heard has died young; a launcher may not look in time to see one.
  redis.call('HSETNX', 'block:' .. ARGV[4], 'heard_at', string.format('%.3f', NOW / 1000))
end
-- Said once in ten minutes, so that what runs for hours stays evidence of how it does elsewhere.
local function note_outlived(id, said_at, max_losses)
  if said_at and NOW - tonumber(said_at) < 600000 then return end
  local v = fields(id, 'campaign', 'node', 'block')
  redis.call('HSET', 'job:' .. id, 'outlived', int(NOW))
  if said_at then
    note_doing_well(id, v[1], v[2] or '', max_losses)
  else
    note_well(id, v[1], v[2] or '', string.sub(place_of(v[2], v[3]), 2, -2), max_losses)
  end
end

local refusal, why = refusal_of(ARGV[3], ARGV[4])
local out = {int(B.safe_ms), B.counter, int(B.fresh_ms), refusal, why}
for i = 6, #ARGV, 4 do
  local id, token, phase, age_ms = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local v = fields(id, 'state', 'token', 'last_token', 'cancel', 'settled_token', 'outlived')
  local word = 'lost'
  if v[2] == token then
    redis.call('ZADD', 'leases', int(NOW + B.lease_ms), id)
    if phase == 'running' then mark_started(id, age_ms) end
    if phase == 'running' and age_ms >= B.quick_ms then note_outlived(id, v[6], B.max_losses) end
    word = v[4] and 'cancel' or 'renewed'
  elseif v[5] == token then
    word = 'settled'
  elseif v[3] == token and v[1] == 'queued' then
    word = 'waiting'
  end
  out[#out + 1] = word
end
return out
