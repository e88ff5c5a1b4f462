-- renew: push the ends of one worker's leases out, and leave word that the worker is alive.
--
-- ARGV 2 worker, 3 what it says of itself (JSON), then for each claim: id, token, phase ('held', 'running'), age_ms of the run
--
-- Returns {safe_ms, counter, fresh_ms, then one word per claim}: 'renewed'; 'cancel' (renewed, but its user wants it ended); 'waiting' (its lease ran
-- out and nobody has started it since: take_back); 'settled' (this very claim has ended); 'lost' (somebody else's, or forgotten).
local B = beat()
if not B then return stale() end
redis.call('HSET', 'workers', ARGV[2], cjson.encode({at = int(NOW), said = ARGV[3]}))
local out = {int(B.safe_ms), B.counter, int(B.fresh_ms)}
for i = 4, #ARGV, 4 do
  local id, token, phase, age_ms = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local v = fields(id, 'state', 'token', 'last_token', 'cancel', 'settled_token')
  local word = 'lost'
  if v[2] == token then
    redis.call('ZADD', 'leases', int(NOW + B.lease_ms), id)
    if phase == 'running' then mark_started(id, age_ms) end
    word = v[4] and 'cancel' or 'renewed'
  elseif v[5] == token then
    word = 'settled'
  elseif v[3] == token and v[1] == 'queued' then
    word = 'waiting'
  end
  out[#out + 1] = word
end
return out
