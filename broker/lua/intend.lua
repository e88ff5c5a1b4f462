-- intend: record that a block is about to be submitted, unless the caps of its site, over all launchers, say no (docs/leases.md rule 26).
--
-- ARGV 2 block id, 3 site, 4 how many live blocks of the site the caller has seen, 5 at most so many live ones, 6 at most so many intents
--      within an hour ('' in 4, 5 or 6: any number), then pairs of field, value
--
-- Returns 'ok' (recorded; also when this very intent was recorded before and nothing has become of it), 'exists' (another block has the id),
-- 'paused' (the site is), 'changed' (the caller's count is not the present one: look again), 'cap', 'hour'. Nothing is recorded but for 'ok'.
local B = beat()
if not B then return stale() end
local id, site, seen, max_live, per_hour = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local given = {}
for i = 7, #ARGV, 2 do given[ARGV[i]] = ARGV[i + 1] end

-- An id is made for one intent only, so the same time of it means the same caller, whose answer was lost.
if redis.call('SISMEMBER', 'blocks', id) == 1 then
  local before = redis.call('HMGET', 'block:' .. id, 'state', 'submitted_at')
  return (before[1] == given.state and before[2] == given.submitted_at) and 'ok' or 'exists'
end
if (redis.call('HGET', 'site:' .. site, 'paused') or '') ~= '' then return 'paused' end

local live, lately = 0, 0
for _, other in ipairs(redis.call('SMEMBERS', 'blocks')) do
  local v = redis.call('HMGET', 'block:' .. other, 'site', 'ended_at', 'intended_at', 'submitted_at')
  if v[1] == site then
    if (v[2] or '') == '' then live = live + 1 end
    if (tonumber(v[3] or v[4]) or 0) > NOW / 1000 - 3600 then lately = lately + 1 end
  end
end
if seen and live ~= seen then return 'changed' end
if max_live and live >= max_live then return 'cap' end
if per_hour and lately >= per_hour then return 'hour' end
redis.call('SADD', 'blocks', id)
-- The server's time beside the launcher's own: launchers on several hosts share the hour.
redis.call('HSET', 'block:' .. id, 'intended_at', string.format('%.3f', NOW / 1000), unpack(ARGV, 7))
event('block_intended', '', 'block', id, 'site', site)
return 'ok'
