-- reap: jobfiles whose lease has run out wait again, at the head of their lane.
--
-- ARGV 2 limit (at most 100: a script must not hold up the renewals of the living)
--
-- Returns {grace_until if it is not over yet, else 0, then id, worker, node of each}. Nothing is reaped within the grace after a gap (LEASES rule 7).
local B = beat()
if not B then return stale() end
if NOW < B.grace_until then return {int(B.grace_until)} end
local out = {'0'}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'leases', '-inf', '(' .. int(NOW), 'LIMIT', 0, tonumber(ARGV[2]))) do
  local v = fields(id, 'worker', 'node', 'claimed_at', 'cancel')
  local key = 'job:' .. id
  -- It may have started without the broker hearing of it: the next attempt must not take its number.
  mark_started(id, NOW - tonumber(v[3]))
  redis.call('HSET', key, 'ended_at', int(NOW), 'ending', 'lost', 'reason', 'lost with ' .. v[2])
  redis.call('HINCRBY', key, 'losses', 1)
  lose_claim(id)
  if v[4] then
    set_state(id, 'cancelled')
    redis.call('HDEL', key, 'cancel')
  else
    wait(id, true)
  end
  event('lost', id, 'node', v[2], 'worker', v[1])
  out[#out + 1] = id
  out[#out + 1] = v[1]
  out[#out + 1] = v[2]
end
return out
