-- take_back: the holder of a lease that ran out gets its jobfile again, if nobody has started it since (LEASES rules 3, 12).
--
-- ARGV 2 id, 3 token
--
-- Returns {1, safe_ms} if it holds the jobfile (again), {0, 0} if it never will. The ticket in the lane is left for `claim` to drop.
local B = beat()
if not B then return stale() end
local id, token = ARGV[2], ARGV[3]
local v = fields(id, 'state', 'token', 'last_token')
if v[2] == token then
  redis.call('ZADD', 'leases', int(NOW + B.lease_ms), id)
  return {1, int(B.safe_ms)}
end
if v[1] ~= 'queued' or v[3] ~= token then return {0, 0} end
set_state(id, 'running')
redis.call('HDEL', 'job:' .. id, 'last_token', 'ended_at', 'ending', 'reason')
redis.call('HSET', 'job:' .. id, 'token', token)
forgive_loss(id)
redis.call('HSET', 'tokens', token, id)
redis.call('ZADD', 'leases', int(NOW + B.lease_ms), id)
event('taken_back', id)
return {1, int(B.safe_ms)}
