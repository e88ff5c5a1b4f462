-- forget: remove the records of a campaign that has ended, a piece at a time; the last piece removes the campaign.
--
-- ARGV 2 name, 3 how many records at most
--
-- Returns how many records are left, or -1 if jobfiles of it wait or run: nothing changed.
local B = beat()
if not B then return stale() end
local number = redis.call('HGET', 'campaigns', ARGV[2])
if not number then return 0 end
local active = redis.call('HMGET', 'counts:' .. number, 'queued', 'running')
if tonumber(active[1] or '0') + tonumber(active[2] or '0') > 0 then return -1 end
local jobs = 'campaign:' .. number .. ':jobs'
for _ = 1, tonumber(ARGV[3]) do
  local id = redis.call('LPOP', jobs)
  if not id then break end
  local v = fields(id, 'campaign', 'state', 'skipped')
  -- It may have gone over to another campaign since.
  if v[1] == number then
    redis.call('ZREM', 'ended:' .. v[2], id)
    redis.call('DEL', 'job:' .. id)
    redis.call('HINCRBY', 'counts:' .. number, v[2], -1)
    if v[3] then redis.call('HINCRBY', 'counts:' .. number, 'skipped', -1) end
  end
end
local left = redis.call('LLEN', jobs)
if left == 0 then
  redis.call('DEL', 'campaign:' .. number, 'counts:' .. number)
  for _, name in ipairs({'streak:', 'well:', 'failing:', 'own:'}) do redis.call('DEL', name .. number) end
  redis.call('HDEL', 'campaigns', ARGV[2])
  event('forgotten', '', 'campaign', number)
end
return left
